"""What a sweep refuses before it starts a trial, and what it says of trouble on its way."""

import json
import shutil

import pytest
from omegaconf import OmegaConf

from tests.conftest import Trompe, wait
from tests.runs.test_sweep import PLANTED, planted_sweep, runs_of, study_of, table_of, the_sweep
from trompe.errors import UserError
from trompe.sweeps import request
from trompe.sweeps.sweep_folder import SweepFolder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model.loss=hinge"], "nothing is swept"),
        (["model.los=hinge,wasserstein"], "there is no key model.los: did you mean model.loss"),
        (["model=dcgan,dcgna"], "dcgna"),
        (["model.optimizer.lr=log(1e-5,1e-3)", "sampler=grid"], "is an interval"),
        (["seed=0,1", "run=somewhere"], "leave run= out"),
        (["seed=0,1", "direction=up"], "direction=up is neither"),
        (["seed=0,1", "objective=[a,b]", "direction=minimize"], "needs one direction for each"),
        (["seed=0,1", "n_trials=0"], "n_trials=0 must be a whole number"),
        (["seed=0,1", "jobs=no"], "jobs=no must be a whole number"),
        (["seed=0,1", "value=first"], "neither best nor last"),
        (["seed=0,1", "sampler=tpo"], "tpo"),
        (["resume=nowhere"], "there is no sweep folder at nowhere"),
        (["resume=."], "has no sweep.yaml"),
        (
            [
                *("seed=0,1", "pruner=median", "direction=[minimize,minimize]"),
                "objective=[fd_efflite0,loss/generator]",
            ],
            "a sweep with several objectives cannot prune",
        ),
        (["+my_token=hunter22,hunter33"], "my_token is a secret and cannot be swept"),
        (["+my.password=range(1,3)"], "my.password is a secret and cannot be swept"),
        (["experiment=dcgan_cifar10", "seed=0,1"], "data.path"),
        (["seed=0,1", "storage=postgres://nobody@nowhere/x"], "cannot open the study's storage"),
    ],
)
def test_mistakes_are_told_before_anything_starts(trompe, arguments, message):
    told = trompe.fails("sweep", *arguments)
    assert message in told and "hunter" not in told
    assert not list(trompe.outputs.glob("sweeps/*"))


@pytest.mark.parametrize(
    ("overrides", "experiment", "new", "told"),
    [
        ([], ["+my_token=***", "seed=0,1"], (), "the secret my_token: start a new sweep, and"),
        ([], ["+a={pwd:***}"], (), "as a='${oc.env:NAME}'"),
        (["+launcher.x=***"], [], (), "the secret launcher.x: give it again, as ++launcher.x="),
        # These are asked for nothing: the next thing that is wrong is told.
        (["storage=postgresql://u:***@h/d"], [], (), "is nothing to sweep"),
        (["+launcher.x=***"], [], ("++launcher.x=abc",), "is nothing to sweep"),
        ([], ["+my_token=${oc.env:MY_TOKEN}"], (), "is nothing to sweep"),
    ],
)
def test_a_sweep_without_its_secrets(tmp_path, monkeypatch, overrides, experiment, new, told):
    def stop(*_: object) -> None:
        raise UserError("there is nothing to sweep")

    monkeypatch.setattr(request, "compose_recorded", stop)
    monkeypatch.chdir(tmp_path)  # both are changed, and must not stay
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    folder = SweepFolder(tmp_path / "sweep")
    description = {
        **{key: "x" for key in ("id", "path", "storage", "study")},
        **{"cwd": str(tmp_path), "flags": [], "objective": ["a"], "direction": ["minimize"]},
        **{"space": {}, "overrides": overrides, "experiment": experiment},
    }
    folder.create(description, lambda _: None)
    hydra = OmegaConf.create({"overrides": {"task": [f"resume={folder.path}", *new]}})
    monkeypatch.setattr(request.HydraConfig, "get", lambda: hydra)
    paths = {"output_dir": str(tmp_path)}
    cfg = OmegaConf.create({"resume": str(folder.path), "launcher": {}, "paths": paths})
    with pytest.raises(UserError) as caught:
        request.reopen(cfg, [], [])
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_an_objective_that_is_never_recorded(trompe):
    arguments = ("model.optimizer.lr=1e-3,1e-2", "kimg=1", "sampler=grid", PLANTED)
    message = trompe.fails("sweep", *arguments, "objective=distanse")
    assert "no trial of" in message
    row, queued = table_of(the_sweep(trompe))
    assert queued["state"] == "waiting"  # it would train for nothing
    error = row["error"]
    assert error == (
        "objective=distanse was never recorded; the run recorded: distance, kimg, speed, tick"
    )


def test_a_study_that_cannot_be_written_is_told_in_one_line(trompe):
    folder = planted_sweep(trompe, "n_trials=1")
    (folder.path / "study.db").write_bytes(b"not a database, whatever its name says" * 100)
    message = trompe.fails("sweep", f"resume={folder.path}", "n_trials=2", "trust=true")
    assert "not a database" in message and str(folder.path / "study.db") in message
    assert json.loads((runs_of(folder, 0)[0].path / "run.json").read_text())["status"] == "done"


def test_a_full_disk_stops_the_sweep_and_loses_nothing(trompe: Trompe) -> None:
    folder = planted_sweep(trompe, "n_trials=1")
    before = table_of(folder)
    # Of the study's next change, the journal alone is larger.
    message = trompe.fails_on_a_full_disk(
        *("sweep", f"resume={folder.path}", "n_trials=3", "trust=true"), largest=4096
    )
    assert "disk I/O error" in message
    assert f"resume it with trompe sweep resume={folder.path}" in message
    assert table_of(folder) == before
    trompe("sweep", f"resume={folder.path}", "n_trials=3", "trust=true")
    after = table_of(folder)
    assert after[: len(before)] == before
    assert [row["state"] for row in after] == ["done"] * 3
    assert len(study_of(folder).trials) == 3


def test_a_trial_whose_folder_is_deleted_does_not_stop_the_sweep(trompe: Trompe) -> None:
    arguments = ("model.optimizer.lr=1e-3,1e-2", "kimg=15", "sampler=grid", PLANTED)
    process = trompe.start("sweep", *arguments, "objective=distance", "poll_seconds=0.05")
    trained = "sweeps/*/trials/0000/*/run/metrics.jsonl"
    wait(lambda: process.poll() is not None or any(trompe.outputs.glob(trained)))
    assert process.poll() is None, process.communicate()
    folder = the_sweep(trompe)
    # At once, since files are still written there.
    folder.trial(0).rename(trompe.folder / "deleted")
    shutil.rmtree(trompe.folder / "deleted", ignore_errors=True)
    assert process.wait(60) == 0, process.communicate()
    process.communicate()
    deleted, done = table_of(folder)
    assert (deleted["state"], done["state"]) == ("failed", "done")
    assert deleted["error"] == f"{folder.trial(0)} was deleted during training"
