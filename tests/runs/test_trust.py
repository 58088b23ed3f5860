"""Folders of strangers: what they name is not run, unless the person says so."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tests.conftest import FAMILIES, TINY, Trompe
from trompe.command import config_dir
from trompe.errors import UserError
from trompe.masking import mask
from trompe.runs.run_folder import RunFolder
from trompe.search_path import command
from trompe.sweeps.launchers import Local
from trompe.sweeps.recorded_sweep import compose_recorded, consent
from trompe.sweeps.request import reopen
from trompe.sweeps.sweep_folder import SweepFolder
from trompe.tasks.recorded_code import source_of

CODE = "from pathlib import Path\nPath({ran!r}).touch()\ndef name(*args, **kwargs): ...\n"
COMMANDS = {
    "sample": ["n=1"],
    "stylize": ["content=x.png"],
    "export": ["format=[safetensors]"],
    "evaluate": ["metrics=[random_conv]"],
    "train": ["fresh=true", "logger=[]"],
    "reproduce": [],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    trompe = Trompe(tmp_path_factory.mktemp("trained"), cache)
    tiny = [o for o in TINY if not o.startswith("metrics")]
    trompe("train", *tiny, "metrics=[]", *FAMILIES["mlp_gan"], "kimg=0.048")
    return trompe.runs()[0].path


@pytest.fixture
def run(trained: Path, trompe: Trompe) -> RunFolder:
    shutil.copytree(trained, trompe.folder / "a_run")
    run = RunFolder(trompe.folder / "a_run")
    run.update_facts(cwd=str(trompe.folder))
    return run


@pytest.fixture
def planted(trompe: Trompe, tmp_path: Path) -> Path:
    """The mark that a planted module leaves when it is imported, which it could be."""
    ran = tmp_path / "ran"
    (tmp_path / "importable").mkdir()
    (tmp_path / "importable" / "planted_code.py").write_text(CODE.format(ran=str(ran)))
    trompe.env["PYTHONPATH"] = f"{tmp_path / 'importable'}:{os.environ.get('PYTHONPATH', '')}"
    return ran


def change(run: RunFolder, **parts: Any) -> None:
    config = run.read_config()
    for key, part in parts.items():
        config[key] = {**config[key], **part} if isinstance(part, dict) else part
    run.config_file.write_text(yaml.safe_dump(config))


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_runs_code_of_a_folder(
    name: str, run: RunFolder, planted: Path, trompe: Trompe
) -> None:
    generator = {"_target_": "trompe.sweeps.launchers.Local"}
    change(run, model={"generator": generator, "loss": "planted_code.name"})
    arguments = [name, f"run={run.path}", *COMMANDS[name]]
    before = {path: path.stat().st_mtime_ns for path in trompe.folder.rglob("*")}
    told = trompe.fails(*arguments)
    assert "launchers.Local (model.generator._target_), planted_code.name (model.loss): set" in told
    assert not planted.exists()
    made = {path for path in trompe.folder.rglob("*")} - before.keys()
    assert not [path for path in made if path.name != ".lock"]
    if name in ("sample", "train"):
        change(run, model={"generator": {"_target_": "planted_code.name"}})
        trompe.start(*arguments, "trust=true").communicate(timeout=60)  # and fails later
        assert planted.exists()


def test_a_module_in_the_directory_of_a_run_is_not_found(
    run: RunFolder, planted: Path, trompe: Trompe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would shadow what every process imports that is started there."""
    there = trompe.folder / "there"
    there.mkdir()
    for name in ("trompe", "ast"):
        (there / f"{name}.py").write_text(CODE.format(ran=str(planted)))
    run.update_facts(cwd=str(there))
    monkeypatch.chdir(there)
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    with source_of(run, "current") as again:
        assert again == Local().command == command("train")
    subprocess.run(command("--version"), check=True, capture_output=True)
    assert not planted.exists()
    run.enter_directory()  # whoever is started from now on: processes of DDP, of libraries
    unsafe = [sys.executable, "-m", "trompe", "--version"]
    subprocess.run(unsafe, check=True, capture_output=True)
    assert not planted.exists()
    subprocess.run(unsafe, capture_output=True, env={**os.environ, "PYTHONSAFEPATH": ""})
    assert planted.exists()


def test_an_id_of_a_tracker_is_no_config(run: RunFolder, planted: Path, trompe: Trompe) -> None:
    run.update_facts(trackers={"csv": {"_target_": "planted_code.name"}})
    change(run, logger={"csv": {"_target_": "trompe.loggers.csv_file.CSVFile", "project": "x"}})
    trompe.start("train", f"run={run.path}", "kimg=0.096").communicate(timeout=60)
    assert not planted.exists()


def test_recorded_overrides_find_no_configs_elsewhere(
    run: RunFolder, planted: Path, trompe: Trompe
) -> None:
    (run.path / "overrides.yaml").write_text("['hydra.searchpath=[pkg://planted_code]', 'seed=0']")
    told = trompe.fails("train", f"run={run.path}", "seed=1")
    assert "a_run sets up Hydra: hydra.searchpath=[pkg://planted_code]: set trust=true" in told
    assert not planted.exists()


def test_listing_and_comparing_run_nothing(run: RunFolder, planted: Path, trompe: Trompe) -> None:
    change(run, model={"_target_": "planted_code.name"}, name="${oc.env:SECRET_THING}")
    env = {"SECRET_THING": "s3cret"}
    listed = trompe("runs", "folders=[.]", "columns=[name]", **env).stdout
    trompe("compare", ".", "out=page.html", **env)
    assert "${oc.env:SECRET_THING}" in listed and "s3cret" not in listed
    assert "s3cret" not in (trompe.folder / "page.html").read_text()
    assert not planted.exists()


SWEEP: dict[str, Any] = {
    "command": ["trompe", "sweep"],
    "cwd": ".",
    "storage": "journal",
    "study": "a_sweep",
    "flags": [],
    "overrides": ["sampler=grid", "objective=x", "storage=journal"],
    "experiment": ["seed=0,1", "kimg=0.048"],
    "objective": ["x"],
    "direction": ["minimize"],
}


def make_sweep(folder: Path, **changes: Any) -> Path:
    path = folder / "a_sweep"
    (path / "trials").mkdir(parents=True)
    (path / "sweep.yaml").write_text(yaml.safe_dump({**SWEEP, **changes}))
    return path


def test_a_launcher_of_a_stranger_starts_nothing(planted: Path, trompe: Trompe) -> None:
    launcher = f"launcher.command=[touch,{planted}]"
    folder = make_sweep(trompe.folder, overrides=[*SWEEP["overrides"], launcher])
    told = trompe.fails("sweep", f"resume={folder}")
    assert f"touch (launcher.command), {planted} (launcher.command): set trust=true" in told
    assert not planted.exists()
    assert sorted(path.name for path in folder.iterdir()) == ["sweep.yaml", "trials"]
    trompe.start("sweep", f"resume={folder}", "trust=true").communicate(timeout=60)
    assert planted.exists()


@pytest.fixture(scope="module")
def opened() -> Iterator[DictConfig]:
    """What a person composes who resumes a sweep."""
    with initialize_config_dir(config_dir(), version_base="1.3"):
        overrides = ["resume=a_sweep"]
        HydraConfig.instance().set_config(compose("sweep", overrides, return_hydra_config=True))
        yield compose("sweep", overrides)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"overrides": ["+sampler.x._target_=os.system"]}, "os.system (sampler.x._target_)"),
        (
            {"overrides": ["launcher=submitit", "+launcher.parameters.slurm_setup=[evil]"]},
            "evil (launcher.parameters)",
        ),
        ({"overrides": ["sampler_seed='${oc.env:HOME}'"]}, "${oc.env:HOME} (sampler_seed)"),
        ({"overrides": ["storage=postgresql://u@nowhere/x"]}, "postgresql://u@nowhere/x (storage)"),
        ({"flags": ["--config-dir", "/nowhere"]}, "--config-dir (flags), /nowhere (flags)"),
        ({"experiment": ["model.loss=hinge,os.path.x"]}, "os.path.x (model.loss)"),
        ({"experiment": ["seed=0,1", "run=/nowhere", "trust=true"]}, "run=/nowhere"),
        ({"experiment": ["seed=0,1", "trust=true"]}, "trust=true (experiment)"),
        ({"experiment": ["seed=0,1", "+hydra.callbacks.x._target_=os.x"]}, "sets up Hydra"),
        ({"overrides": ["sampler=cmaes"]}, "optuna.samplers.CmaEsSampler (sampler._target_)"),
    ],
)
def test_a_sweep_of_a_stranger_is_not_resumed(
    changes: dict[str, list[str]], said: str, opened: DictConfig
) -> None:
    description = {**SWEEP, **changes}
    with pytest.raises(UserError, match=re.escape(said)):
        compose_recorded(Path("a_sweep"), description, [], opened, [])


def test_a_usual_sweep_is_resumed(opened: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://u:s3cret@nowhere/x"
    monkeypatch.setenv("TROMPE_STORAGE", url)
    places = ["+launcher.parameters.slurm_partition=gpu", "launcher.parameters.timeout_min=9"]
    overrides = ["sampler=qmc", "pruner=patience", "launcher=submitit", *places]
    description = {
        **SWEEP,
        "overrides": [*overrides, f"storage={mask(url)}"],
        "flags": ["--config-dir", "/mine"],
        "experiment": ["model=cyclegan,dcgan", "model.gradient_clip_norm=interval(0.1,1)"],
    }
    config = compose_recorded(
        Path("a_sweep"), description, ["n_trials=3"], opened, description["flags"]
    )
    assert config.n_trials == 3 and config.storage == mask(url)


def test_the_command_that_resumes_a_sweep_says_trust_where_it_is_needed(
    opened: DictConfig, tmp_path: Path
) -> None:
    usual = {**SWEEP, "experiment": ["model.optimizer.lr=log(1e-5,1e-3)"]}
    assert consent(tmp_path, usual) == ""
    for more in ("storage=sqlite:////somewhere/x.db", "launcher.command=[x]", "sampler=cmaes"):
        assert consent(tmp_path, {**usual, "overrides": [more]}) == " trust=true"


def test_results_of_jobs_are_read_from_the_persons_own_folder(
    opened: DictConfig, tmp_path: Path
) -> None:
    """Not from where the sweep says: they are pickles."""
    for more in ([], ["launcher.folder=/strangers"]):
        description = {**SWEEP, "overrides": ["launcher=submitit", *more]}
        config = compose_recorded(tmp_path, description, [], opened, [], tmp_path / "mine")
        assert config.launcher.folder == str(tmp_path / "mine")


@pytest.mark.parametrize(
    ("experiment", "target"),
    [
        # Harmless at both ends of a range, and with the folder that the sweep itself has.
        (["+p=range(0,3)", "+t.k1=planted_code.name"], "oc.select:t.k${p},{harmless}"),
        (
            ["seed=0,1", "paths.output_dir=h", "+h={harmless}"],
            "oc.select:${paths.output_dir},{bad}",
        ),
    ],
)
def test_a_trial_is_checked_as_it_runs(
    experiment: list[str], target: str, trompe: Trompe, planted: Path
) -> None:
    def named(text: str) -> str:
        harmless = "trompe.callbacks.progress.Progress"
        return text.replace("{harmless}", harmless).replace("{bad}", "planted_code.name")

    text = f"+callbacks.x._target_='${{{named(target)}}}'"
    experiment = [*map(named, experiment), "data=shapes", "kimg=0.048", "name=n", text]
    overrides = ["storage=journal", "sampler=grid", "objective=x"]
    folder = make_sweep(trompe.folder, overrides=overrides, experiment=experiment)
    told = trompe.fails("sweep", f"resume={folder}", "jobs=2")
    assert "planted_code.name (callbacks.x._target_): set trust=true" in told
    assert not planted.exists()


def test_a_module_in_the_directory_of_a_sweep_is_not_found(
    opened: DictConfig, planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by its trials nor by what libraries start there, as submitit does."""
    there = tmp_path / "there"
    there.mkdir()
    (there / "ast.py").write_text(CODE.format(ran=str(planted)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    folder = make_sweep(tmp_path, cwd=str(there))
    reopen(OmegaConf.merge(opened, {"resume": str(folder)}), [], [])
    assert Path.cwd() == there
    subprocess.run([sys.executable, "-m", "timeit", "-n1", "-r1"], check=True, capture_output=True)
    assert not planted.exists()


def test_a_study_in_a_database_is_not_connected_to(trompe: Trompe, run: RunFolder) -> None:
    folder = make_sweep(trompe.folder, storage=f"sqlite:///{trompe.folder}/elsewhere.db")
    shutil.copytree(run.path, folder / "trials" / "0000" / "x" / "run")
    out = trompe("compare", str(folder)).stdout
    assert "is in a database: set trust=true" in out
    assert not (trompe.folder / "elsewhere.db").exists()


def test_the_password_of_a_storage_is_nowhere(trompe: Trompe) -> None:
    url = "postgresql://somebody:s3cret@127.0.0.1:1/x"  # where nobody listens
    process = trompe.start("sweep", "seed=0,1", "data=shapes", f"storage={url}")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2 and "s3cret" not in out + err
    assert not list(trompe.outputs.rglob("*"))
    path = trompe.folder / "a_sweep"
    overrides = ["sampler=grid", "objective=x", f"storage={url}"]
    description = {**SWEEP, "overrides": overrides, "storage": url}
    SweepFolder(path).create(description, lambda started: None)
    file = path / "sweep.yaml"
    assert "s3cret" not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert yaml.safe_load(file.read_text())["storage"] == url.replace("s3cret", "***")
    told = trompe.fails("sweep", f"resume={path}", "trust=true", PGPASSFILE="/nowhere")
    assert "set TROMPE_STORAGE to the whole URL" in told
    told = trompe.fails("sweep", f"resume={path}", TROMPE_STORAGE=url)
    assert "cannot open the study's storage" in told and "s3cret" not in told


def test_a_study_of_a_stranger_starts_no_trial_of_its_own(trompe: Trompe, planted: Path) -> None:
    """A trial that is said to have been interrupted brings parameters of its own."""
    folder = make_sweep(trompe.folder)
    storage = JournalStorage(JournalFileBackend(str(folder / "study.log")))
    study = optuna.create_study(study_name="a_sweep", storage=storage)
    evil = optuna.distributions.CategoricalDistribution(["planted_code.name"])
    trial = study.ask({"model.loss": evil})
    trial.set_user_attr("folder", str(folder))
    for key, value in {
        "objective": ["x"],
        "directions": ["minimize"],
        "space": {"seed": "CategoricalDistribution(choices=('0', '1'))"},
    }.items():
        study.set_user_attr(key, value)
    told = trompe.fails("sweep", f"resume={folder}")
    assert "a trial with model.loss=planted_code.name, not of this sweep" in told
    assert not planted.exists()
