"""Workers that share a study, and configurations that are trained once."""

import sys
from collections import Counter

import optuna
import pytest

from tests.conftest import Trompe
from tests.runs.test_sweep import PLANTED, runs_of, study_of, table_of, the_sweep
from trompe.errors import UserError
from trompe.sweeps.space import parse_space
from trompe.sweeps.storage import StudyStorage
from trompe.sweeps.study import count_session, make_study
from trompe.sweeps.sweep_folder import SweepFolder
from trompe.sweeps.trial import Objective

QUICK = ("kimg=1", "objective=distance", "poll_seconds=0.02", PLANTED)
THREE = "model.optimizer.lr=1e-4,2e-4,4e-4"


def trained(folder: SweepFolder) -> Counter[str]:
    """How often each learning rate was trained."""
    return Counter(
        str(run.read_config()["lr"])
        for file in (folder.path / "trials").iterdir()
        for run in runs_of(folder, int(file.name))
    )


def test_choices_are_a_grid_unless_another_sampler_is_named(trompe: Trompe) -> None:
    trompe("sweep", THREE, *QUICK)
    assert trained(the_sweep(trompe)) == {"0.0001": 1, "0.0002": 1, "0.0004": 1}
    assert len(study_of(the_sweep(trompe)).trials) == 3


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_finite_space_that_is_exhausted_ends_the_sweep(trompe: Trompe, sampler: str) -> None:
    done = trompe("sweep", THREE, f"sampler={sampler}", "n_trials=20", *QUICK)
    folder = the_sweep(trompe)
    assert trained(folder) == {"0.0001": 1, "0.0002": 1, "0.0004": 1}
    rows = table_of(folder)
    repeats = [row for row in rows if row["state"] == "repeat"]
    assert repeats and len(rows) == 3 + len(repeats)
    assert f"3 done, 0 pruned, 0 failed, {len(repeats)} repeated a known result" in done.stdout
    for row in repeats:  # with the result of the one that was trained
        original = rows[int(row["repeats"])]
        for column in ("distance", "model.optimizer.lr", "run"):
            assert row[column] == original[column] != ""


def test_repeats_of_trials_that_are_running_failed_or_were_pruned(trompe: Trompe) -> None:
    """A repeat waits for its original, in no slot of its own, and ends as that does."""
    space = "model.optimizer.lr=1e-3,-1"
    done = trompe("sweep", space, "sampler=random", "n_trials=9", "jobs=2", *QUICK)
    rows = table_of(the_sweep(trompe))
    assert "1 done, 0 pruned, 1 failed" in done.stdout
    states = {trial.state.name for trial in study_of(the_sweep(trompe)).trials}
    assert states == {"COMPLETE", "FAIL"}
    for row in rows:
        if row["state"] == "repeat" and row["model.optimizer.lr"] == "-1":
            assert "math domain error" in row["error"]


def test_repeats_are_trained_where_they_are_wanted(trompe: Trompe) -> None:
    trompe("sweep", THREE, "sampler=random", "n_trials=5", "jobs=5", "repeats=true", *QUICK)
    assert sum(trained(the_sweep(trompe)).values()) == 5


@pytest.mark.parametrize("n_trials", [1, 3])
def test_a_grid_cut_short_is_sampled(trompe: Trompe, n_trials: int) -> None:
    """The first combinations of a grid would be one corner of it."""
    space = parse_space(["a=1,2,3"])
    from trompe.sweeps.samplers import Automatic, Grid

    automatic = Automatic(Grid(), optuna.samplers.TPESampler())
    is_grid = isinstance(automatic.choose(space, n_trials), Grid)
    assert is_grid == (n_trials == 3)


def test_workers_that_start_at_once_queue_a_grid_once(trompe: Trompe, tmp_path) -> None:
    shared = (f"storage=sqlite:///{tmp_path}/shared.db", "study=shared")
    workers = [
        trompe.start("sweep", "model.optimizer.lr=1e-3,1e-2,1e-1,1", *shared, *QUICK)
        for _ in range(3)
    ]
    for worker in workers:
        out, err = worker.communicate(timeout=60)
        assert worker.returncode == 0, (out, err)
    folders = [SweepFolder(file.parent) for file in trompe.outputs.glob("sweeps/*/sweep.yaml")]
    study = folders[0].load_study()
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 4
    counts: Counter[str] = Counter()
    for folder in folders:
        counts += trained(folder)
    assert sorted(counts.items()) == [("0.001", 1), ("0.01", 1), ("0.1", 1), ("1.0", 1)]


def test_sessions_have_numbers_of_their_own(tmp_path) -> None:
    storage = StudyStorage("sqlite", tmp_path)
    objective = Objective(["x"], ["minimize"], "best")
    study = make_study(storage.study, "mine", objective, parse_space(["a=1,2"]))
    assert [count_session(study) for _ in range(3)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "postgresql://u:secret@h/d",
            "needs the package psycopg: pip install 'trompe[postgresql]'",
        ),
        ("postgres://u:secret@h/d", "write postgresql://"),
        ("mssql+pymssql://u:secret@h/d", "storage=mssql+pymssql:// needs the package"),
        ("nonsense", "must be sqlite, journal or the URL of a database"),
        ("sqlite://", "keeps nothing: give a file"),
    ],
)
def test_storages_that_cannot_work(tmp_path, monkeypatch, url: str, message: str) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UserError) as caught:
        StudyStorage(url, tmp_path)
    assert message in str(caught.value)
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["objective=fid"], "objective=fid would never be recorded: with metrics=[random_conv] it"),
        (["objective=fid"], "can be fd_random_conv, speed/images_per_second"),
        (["objective=logits/real"], "which is better is not known: add direction="),
        (["objective=[fd_random_conv,precision]"], "objective=precision would never be recorded"),
    ],
)
def test_objectives_are_checked_before_the_first_trial(
    trompe: Trompe, arguments: list[str], message: str
) -> None:
    told = trompe.fails("sweep", "seed=0,1", "metrics=[random_conv]", *arguments)
    assert message in told
    assert not list(trompe.outputs.glob("sweeps/*"))
