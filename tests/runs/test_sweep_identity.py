"""A sweep is known by its id: its folder can be renamed, moved, linked and copied."""

import contextlib
import json
import shutil
import signal
import sqlite3

import optuna
import pytest
import yaml

from tests.conftest import Trompe, wait
from tests.runs.test_sweep import PLANTED, planted_sweep, runs_of, study_of, table_of, the_sweep
from trompe.runs.run_folder import RunFolder
from trompe.sweeps.sweep_folder import SweepFolder

QUICK = ("kimg=1", "objective=distance", "poll_seconds=0.02", PLANTED)


def identity(folder: SweepFolder) -> str:
    return yaml.safe_load((folder.path / "sweep.yaml").read_text())["id"]


def ask(study: optuna.Study) -> optuna.Trial:
    """Begin the third trial of the grid, as a worker does."""
    study.enqueue_trial({"model.optimizer.lr": "0.0005"})
    return study.ask(fixed_distributions=study.trials[0].distributions)


def check_table(folder: SweepFolder, count: int) -> None:
    """Each row tells of the run that it names, which was trained with the row's parameters."""
    rows = table_of(folder)
    assert [row["state"] for row in rows] == ["done"] * count
    for row in rows:
        run = RunFolder(folder.path / row["run"])
        assert not row["run"].startswith("/")
        assert run.read_config()["lr"] == float(row["model.optimizer.lr"])
        assert float(row["distance"]) == run.read_metrics()[-1]["distance"]


@pytest.mark.parametrize("how", ["renamed", "moved", "linked"])
def test_a_sweep_goes_on_wherever_it_lies(trompe: Trompe, tmp_path, how) -> None:
    """With an unfinished trial, whose run is resumed, not begun again."""
    before = planted_sweep(trompe, "n_trials=2", "kimg=1")
    known = identity(before)
    ask(study_of(before)).set_user_attr("sweep", known)  # as of a worker that was killed
    places = {
        "renamed": before.path.with_name("mine"),
        "moved": tmp_path / "elsewhere" / "sweeps" / before.path.name,
        "linked": tmp_path / "link",
    }
    after = SweepFolder(places[how])
    after.path.parent.mkdir(parents=True, exist_ok=True)
    if how == "linked":
        after.path.symlink_to(before.path)
    else:
        before.path.rename(after.path)
    trompe("sweep", "trust=true", f"resume={after.path}", "n_trials=4")
    assert identity(after) == known
    study = after.load_study()
    assert len(study.trials) == 4 and study.study_name == before.path.name
    check_table(after, 4)


def test_a_copy_of_a_sweep_is_another_sweep(trompe: Trompe) -> None:
    before = planted_sweep(trompe, "n_trials=2", "kimg=1")
    after = SweepFolder(before.path.with_name("copy"))
    shutil.copytree(before.path, after.path)
    original, text = identity(before), (before.path / "sweep.yaml").read_text()
    trompe("sweep", "trust=true", f"resume={after.path}", "n_trials=3")
    assert identity(before) == original != identity(after)
    assert (before.path / "sweep.yaml").read_text() == text
    check_table(after, 3)
    assert len(study_of(before).trials) == 2
    trompe("sweep", "trust=true", f"resume={before.path}", "n_trials=3")
    check_table(before, 3)


def test_a_copy_leaves_what_the_original_trains_in_a_shared_study(trompe: Trompe, tmp_path) -> None:
    shared = (f"storage=sqlite:///{tmp_path}/shared.db", "study=shared")
    space = "model.optimizer.lr=log(1e-5,1e-1)"
    trompe("sweep", space, "n_trials=1", "sampler=random", *shared, *QUICK)
    before = the_sweep(trompe)
    ask(before.load_study()).set_user_attr("sweep", identity(before))
    after = SweepFolder(before.path.with_name("copy"))
    shutil.copytree(before.path, after.path)
    trompe("sweep", "trust=true", f"resume={after.path}", "n_trials=3")
    states = [trial.state.name for trial in after.load_study().trials]
    assert states == ["COMPLETE", "RUNNING", "COMPLETE"]
    assert runs_of(after, 2) and not runs_of(after, 1) and not runs_of(before, 1)
    rows = table_of(after)
    assert rows[0]["run"] == str(runs_of(before, 0)[0].path)  # the original's, where it lies
    assert not rows[2]["run"].startswith("/")


def test_a_trial_with_the_run_of_another_is_refused(trompe: Trompe) -> None:
    """As of a study that was restored from elsewhere: no value goes to the wrong parameters."""
    folder = planted_sweep(trompe, "n_trials=2", "kimg=1")
    overrides = runs_of(folder, 1)[0].path / "overrides.yaml"
    overrides.write_text(overrides.read_text().replace("0.002", "0.0031"))
    before = folder.trials_csv.read_text()
    copy = SweepFolder(folder.path.with_name("copy"))
    shutil.copytree(folder.path, copy.path)
    text = (copy.path / "sweep.yaml").read_text()
    assert "trial 1 has" in trompe.fails("sweep", "trust=true", f"resume={copy.path}")
    assert (copy.path / "sweep.yaml").read_text() == text  # it has no new id yet
    message = trompe.fails("sweep", "trust=true", f"resume={folder.path}", "n_trials=3")
    assert "trial 1 has model.optimizer.lr=0.002 in the study, but its run" in message
    assert "was trained with model.optimizer.lr=0.0031" in message
    assert len(study_of(folder).trials) == 2 and folder.trials_csv.read_text() == before


def test_a_study_that_is_gone_is_not_made_anew(trompe: Trompe) -> None:
    folder = planted_sweep(trompe, "n_trials=1", "kimg=1")
    (folder.path / "study.db").unlink()
    message = trompe.fails("sweep", "trust=true", f"resume={folder.path}", "n_trials=2")
    assert "is gone from its storage" in message and "has trials of it" in message


def test_a_sweep_of_an_older_version_goes_on(trompe: Trompe) -> None:
    """It has no id; its trials have the paths that they had."""
    folder = planted_sweep(trompe, "n_trials=1", "kimg=1")
    description = yaml.safe_load((folder.path / "sweep.yaml").read_text())
    del description["id"], description["path"]
    (folder.path / "sweep.yaml").write_text(yaml.safe_dump(description))
    run = json.dumps(str(runs_of(folder, 0)[0].path))
    with contextlib.closing(sqlite3.connect(folder.path / "study.db")) as database:
        database.execute("UPDATE trial_user_attributes SET value_json=? WHERE key='run'", [run])
        database.execute("DELETE FROM trial_user_attributes WHERE key='sweep'")
        database.execute(
            "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (1, 'folder', ?)",
            [json.dumps(str(folder.path))],
        )
        database.commit()
    ask(study_of(folder)).set_user_attr("folder", str(folder.path))
    after = SweepFolder(folder.path.with_name("renamed"))
    folder.path.rename(after.path)
    trompe("sweep", "trust=true", f"resume={after.path}", "n_trials=3")
    check_table(after, 3)


def test_a_trial_whose_run_was_not_found_yet_is_recorded_with_it(trompe: Trompe) -> None:
    """As of a sweep that was stopped just after the trial had made its run."""
    folder = planted_sweep(trompe, "n_trials=2", "kimg=1")
    ask(study_of(folder)).set_user_attr("sweep", identity(folder))
    run = RunFolder(folder.trial(2) / "planted" / "run")
    run.create({"kimg": 1, "lr": 0.0005}, ["model.optimizer.lr=0.0005"], {})
    trompe("sweep", "trust=true", f"resume={folder.path}", "n_trials=3")
    check_table(folder, 3)
    assert study_of(folder).trials[2].user_attrs["run"] == "trials/0002/planted/run"


def test_what_is_queued_waits_until_the_sweep_may_have_more_trials(trompe: Trompe) -> None:
    folder = planted_sweep(trompe, "n_trials=2", "kimg=1")
    study_of(folder).enqueue_trial({"model.optimizer.lr": "0.0005"})
    trompe("sweep", "trust=true", f"resume={folder.path}", "n_trials=1")
    states = [trial.state.name for trial in study_of(folder).trials]
    assert states == ["COMPLETE", "COMPLETE", "WAITING"]
    trompe("sweep", "trust=true", f"resume={folder.path}", "n_trials=3")
    check_table(folder, 3)


def test_a_worker_that_dies_while_it_asks_costs_no_combination(trompe: Trompe) -> None:
    """Killed with a trial that has no owner yet, and perhaps no parameters."""
    folder = planted_sweep(trompe, "n_trials=2", "kimg=1")
    study = study_of(folder)
    ask(study)
    trompe("sweep", "trust=true", f"resume={folder.path}", "n_trials=3")
    rows = table_of(folder)
    assert [row["state"] for row in rows] == ["done", "done", "failed", "done"]
    assert rows[2]["error"] == "the sweep was killed before the trial had parameters"
    assert rows[3]["model.optimizer.lr"] == "0.0005"


def test_an_interrupted_sweep_can_be_moved(trompe: Trompe) -> None:
    """What was stopped in the middle is taken up from the new place."""
    process = trompe.start("sweep", "model.optimizer.lr=1e-3,2e-3", "kimg=20", *QUICK[1:])
    wait(lambda: any(trompe.outputs.glob("sweeps/*/trials/0000/*/run/checkpoints/last.ckpt")))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    before = the_sweep(trompe)
    moved = trompe.folder / "moved"
    before.path.rename(moved)
    done = trompe("sweep", "trust=true", f"resume={moved}")
    assert "trial 0 resumes" in done.stdout and "2 done, 0 pruned, 0 failed" in done.stdout
    check_table(SweepFolder(moved), 2)
