"""An install without extras: what works, and how the rest says what it lacks."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import FAMILIES, TINY, Trompe
from trompe.extras import explain, need, optional_packages

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {name for name in PROJECT["optional-dependencies"] if name not in ("all", "dev", "docs")}
RUN = [*(o for o in TINY if not o.startswith("logger")), *FAMILIES["mlp_gan"], "kimg=0.048"]


class Core(Trompe):
    """`trompe` where only the core is installed."""

    def __init__(self, folder: Path, cache: Path) -> None:
        super().__init__(folder, cache)
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "core_only.py")],
            cwd=folder,
            env=self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.hidden = set(self._answer())

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def __call__(self, *arguments: str, code: int = 0, **env: str) -> subprocess.CompletedProcess:
        assert self.process.stdin is not None
        print(json.dumps(arguments), file=self.process.stdin, flush=True)
        done = self._answer()
        assert done["code"] == code, done["err"] + done["out"]
        return subprocess.CompletedProcess(arguments, done["code"], done["out"], done["err"])


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Core]:
    folder = tmp_path_factory.mktemp("core")
    (folder / "sweep").mkdir()
    (folder / "sweep" / "sweep.yaml").touch()
    core = Core(folder, cache)
    with core.process:
        yield core
        core.process.stdin.close()


def test_the_installed_metadata_is_that_of_pyproject() -> None:
    installed = {canonicalize_name(Requirement(r).name) for r in metadata.requires("trompe") or []}
    optional = [r for extra in PROJECT["optional-dependencies"].values() for r in extra]
    wanted = {
        canonicalize_name(Requirement(r).name) for r in [*PROJECT["dependencies"], *optional]
    } - {"trompe"}
    assert installed - {"trompe"} == wanted, "pyproject.toml has changed: make setup"
    (everything,) = PROJECT["optional-dependencies"]["all"]
    assert Requirement(everything).extras == EXTRAS


def test_every_optional_package_is_of_the_extra_that_lists_it() -> None:
    found = {canonicalize_name(package): extra for package, extra in optional_packages().values()}
    for extra, requirements in PROJECT["optional-dependencies"].items():
        listed = {canonicalize_name(Requirement(r).name) for r in requirements} - {"trompe"}
        assert all(found[package] == extra for package in listed)


def test_a_missing_module_is_explained_only_if_an_extra_brings_it() -> None:
    assert need("mpl_toolkits.basemap_data", "x").endswith("pip install 'trompe[maps]'")
    assert need("torch_fidelity", "x").endswith("torch-fidelity: pip install 'trompe[metrics]'")
    mine = ModuleNotFoundError("No module named 'my_gans'", name="my_gans")
    inner = ModuleNotFoundError("No module named 'my_gans.optuna'", name="my_gans.optuna")
    assert explain([ValueError(), mine, inner], "x") is None  # Optuna is installed


def test_the_core_trains_samples_evaluates_and_lists(core: Core) -> None:
    packages = {
        "onnx",
        "onnxruntime",
        "optuna",
        "sqlalchemy",
        "tensorboard",
        "torch_fidelity",
        "trackio",
        "wandb",
    }
    assert packages <= core.hidden
    out = core("train", *RUN).stdout  # with the default logger
    (said,) = [line for line in out.splitlines() if "trackio" in line]
    assert said == (
        "logger=[local] needs the package trackio: pip install 'trompe[trackio]' "
        "(this run goes on without it)"
    )
    (run,) = core.runs()
    recorded: dict[str, Any] = run.read_facts()
    assert recorded["status"] == "done" and recorded["trackers"] == {}
    assert "torch" in recorded["packages"] and "wandb" not in recorded["packages"]
    assert "trackio" not in core("train", f"run={run.path}", "kimg=0.096", "logger=[csv]").stdout
    assert (run.path / "metrics.csv").is_file()
    core("sample", f"run={run.path}", "n=2", "interpolation.frames=2")
    core("export", f"run={run.path}", "format=[safetensors,torch_export]")
    images = "metrics.full.n_images=40", "metrics.full.n_reference=40", "features=random_conv"
    assert "fd_random_conv" in core("evaluate", f"run={run.path}", *images).stdout
    assert run.path.name.rpartition("_")[2] in core("runs").stdout
    assert "1 runs: " in core("compare", str(run.path), "out=page.html").stdout
    assert "optuna" in core("sweep", "--cfg", "job").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sweep", "seed=0,1"], "sweep needs the package optuna: pip install 'trompe[sweep]'"),
        (
            ["compare", "sweep"],
            "compare of a sweep needs the package optuna: pip install 'trompe[sweep]'",
        ),
        (["export", "run=x"], "export needs the package onnx: pip install 'trompe[export]'"),
        (["dashboard"], "dashboard needs the package trackio: pip install 'trompe[trackio]'"),
        (
            ["train", *RUN, "logger=[csv,local]"],
            "logger=[local] needs the package trackio: pip install 'trompe[trackio]'",
        ),
        (
            ["train", *RUN, "logger=[wandb]"],
            "logger=[wandb] needs the package wandb: pip install 'trompe[wandb]'",
        ),
        (
            ["train", *RUN, "logger=[wandb_offline]"],
            "logger=[wandb_offline] needs the package wandb: pip install 'trompe[wandb]'",
        ),
        (
            ["train", *RUN, "logger=[tensorboard]"],
            "logger=[tensorboard] needs the package tensorboard: pip install 'trompe[tensorboard]'",
        ),
        (
            ["train", "data=shapes", "data.resolution=16", "metrics=[inception]"],
            "features=inception needs the package torch-fidelity: pip install 'trompe[metrics]'",
        ),
        (
            ["train", "data=shapes", "metrics.efflite0.features.resizing=bilinear-tensorflow1"],
            "resizing=bilinear-tensorflow1 needs the package torch-fidelity: "
            "pip install 'trompe[metrics]'",
        ),
    ],
)
def test_what_an_extra_is_missing_for_is_one_line(
    core: Core, arguments: list[str], said: str
) -> None:
    before = sorted(core.folder.iterdir())
    runs = [run.path for run in core.runs()]
    assert core.fails(*arguments).endswith(said)
    assert sorted(core.folder.iterdir()) == before
    assert [run.path for run in core.runs()] == runs
