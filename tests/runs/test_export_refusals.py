"""What `trompe export` refuses: files that do not do what the run does, and mistakes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.runs.exporting import MODELS, configured, exported, module_of, train_gan
from tests.runs.test_full_disks import largest
from tests.runs.test_stylize import make_run
from trompe.errors import UserError
from trompe.exports import parity, web_runtime, weights_file
from trompe.exports.exportable import Exportable
from trompe.exports.program import trace
from trompe.files import CannotWrite
from trompe.methods.capabilities import Latents
from trompe.runs.run_folder import RunFolder
from trompe.tasks.export import export


@pytest.fixture(scope="module")
def gan(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> RunFolder:
    return train_gan(tmp_path_factory.mktemp("gan"), cache)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return make_run(tmp_path_factory.mktemp("run") / "quick", MODELS["quick"])


def test_a_file_that_does_not_do_what_the_run_does_is_refused(
    gan: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_another(path: Path, module: Exportable) -> Callable[..., Tensor]:
        fresh: Any = original(path, module)
        next(fresh.parameters()).data.view(-1)[0] += 1
        return fresh

    original = weights_file.load
    monkeypatch.setattr(weights_file, "load", load_another)
    out = tmp_path / "some" / "out"
    with pytest.raises(UserError, match=r"format=safetensors: .* differ .* by up to .* nothing"):
        exported(gan, "format=[safetensors]", f"out={out}")
    assert not [*out.parent.iterdir()]


def test_a_model_that_draws_noise_is_refused(gan: RunFolder, tmp_path: Path) -> None:
    """As in the exported program, the noise is another at each call."""
    module = module_of(gan)
    method = module.method
    quiet = method.sample

    def noisy(inputs: Latents) -> Tensor:
        made: Tensor = quiet(inputs)
        return made + 0.01 * torch.randn_like(made)

    method.sample = noisy
    cases = parity.make_cases(module)
    program: Any = trace(module).module()
    with pytest.raises(UserError, match=r"differ from the run.s by up to 0\.0"):
        parity.check(parity.measure(cases, program, "torch_export"), "torch_export")


def test_differences_are_measured(gan: RunFolder) -> None:
    cases = parity.make_cases(module_of(gan))
    assert sum(len(case.expected) for case in cases) == 64
    assert {len(case.expected) for case in cases} == {8, 1}
    again = parity.make_cases(module_of(gan))
    assert all(torch.equal(a.expected, b.expected) for a, b in zip(cases, again, strict=True))
    images = iter(case.expected for case in cases)
    values = parity.measure(cases, lambda latents: next(images) + 0.25, "x")
    assert values["largest"] == pytest.approx(0.25) and values["mean"] == pytest.approx(0.25)
    assert values["pixels"] > 0.9 and values["distance"] > 10 * values["spread"]
    images = iter(case.expected for case in cases)
    broken = parity.measure(cases, lambda latents: next(images) * float("nan"), "x")
    with pytest.raises(UserError, match="by up to inf"):
        parity.check(broken, "x")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["format=[pickle]"], "format=pickle must be some of safetensors, torch_export, onnx, web"),
        (["format=[]"], "exports nothing"),
        (["batch=0"], "batch=0 must be a whole number of at least 1"),
        (["batch=1.5"], "batch=1.5 must be a whole number"),
        (["size=32"], "makes images from latents, in one size: leave size= out"),
        (["direction=a_to_b"], "has no such option"),
        (["checkpoint=first"], "checkpoint=first is neither best nor last"),
        (["format=[safetensors]", "license=' '"], "must be a word, such as apache-2.0"),
        (["format=[web]", "web_runtime=nowhere.tgz"], "web_runtime=nowhere.tgz cannot be read"),
        (["format=[web]", f"web_runtime='{__file__}'"], "is not the file of onnxruntime-web"),
    ],
)
def test_mistakes_are_said_and_leave_nothing(
    overrides: list[str], said: str, gan: RunFolder, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said):
        exported(gan, *overrides, f"out={tmp_path / 'made' / 'out'}")
    assert not [*tmp_path.rglob("out*")] and not [*tmp_path.rglob("*.tmp")]


@pytest.mark.parametrize("name", ["safetensors", "torch_export", "onnx"])
def test_a_full_disk_is_said_and_leaves_nothing(name: str, gan: RunFolder, tmp_path: Path) -> None:
    out = tmp_path / "made" / "out"
    cfg = configured(gan, f"format=[{name}]", f"out={out}")
    with largest(20_000), pytest.raises(CannotWrite, match="File too large"):
        export(cfg)
    assert not [*out.parent.iterdir()]


def test_only_what_was_exported_is_replaced(gan: RunFolder, tmp_path: Path) -> None:
    more = ["format=[safetensors]", f"out={tmp_path / 'out'}"]
    out = exported(gan, *more)
    with pytest.raises(UserError, match="already exists: set overwrite=true"):
        exported(gan, *more)
    exported(gan, *more, "overwrite=true")
    (out / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds other files too, such as notes\.txt"):
        exported(gan, *more, "overwrite=true")
    assert (out / "notes.txt").read_text() == "mine"


def test_small_pictures_are_refused(quick: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="size=8 must be at least 16 pixels"):
        exported(quick, "size=8", f"out={tmp_path / 'out'}")
    with pytest.raises(UserError, match=r"size=65536, batch=2: .* take 12288\.0 GiB, more than"):
        exported(quick, "size=65536", "batch=2", f"out={tmp_path / 'out'}")
    assert not (tmp_path / "out").exists()


def test_the_web_runtime_is_the_pinned_one_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"there is no npm to fetch it: .* web_runtime="):
        web_runtime.find(None, tmp_path / "cache")
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error: offline' >&2\nexit 1\n")
    npm.chmod(0o755)
    with pytest.raises(UserError, match=r"npm could not fetch .* \(npm error: offline\)"):
        web_runtime.find(None, tmp_path / "cache")
    npm.write_text("#!/bin/sh\n: > onnxruntime-web-1.30.0.tgz\n")
    with pytest.raises(UserError, match="its SHA-512 differs"):
        web_runtime.find(None, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
