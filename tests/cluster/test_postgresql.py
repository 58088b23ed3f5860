"""Workers that share one study in a real PostgreSQL, each with a folder of its own."""

from collections import Counter
from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

from tests.cluster.servers import make_database
from tests.conftest import Trompe, wait
from tests.runs.test_sweep import PLANTED, RATES
from trompe.runs.run_folder import RunFolder

pytestmark = pytest.mark.cluster

COMMON = ("kimg=10", "objective=distance", "poll_seconds=0.05", "study=shared", PLANTED)


def runs(output: Path) -> list[RunFolder]:
    found = output.glob("sweeps/*/trials/*/planted/run/run.json")
    return [RunFolder(file.parent) for file in sorted(found)]


def trials_in(url: str) -> list[FrozenTrial]:
    storage = RDBStorage(url)
    trials = optuna.load_study(study_name="shared", storage=storage).trials
    storage.remove_session()
    storage.engine.dispose()
    return trials


@pytest.mark.parametrize("round_", range(2))
def test_four_workers_start_at_once_and_one_is_killed(trompe: Trompe, server: str, round_: int):
    url = make_database(server, f"grid{round_}")
    arguments = ["sweep", RATES, *COMMON, "sampler=grid", f"storage={url}"]
    outputs = [trompe.outputs / f"worker{i}" for i in range(4)]
    workers = [trompe.start(*arguments, f"paths.output_dir={output}") for output in outputs]

    def is_in_the_middle() -> bool:
        return any(2 <= len(run.read_metrics()) <= 6 for run in runs(outputs[0]))

    wait(lambda: is_in_the_middle() or any(worker.poll() for worker in workers))
    workers[0].kill()
    for worker in workers:
        _, err = worker.communicate(timeout=120)
        assert worker.returncode == (-9 if worker is workers[0] else 0), err
        assert err == ""

    states = Counter(trial.state.name for trial in trials_in(url))
    assert states == {"COMPLETE": 11, "RUNNING": 1}
    (left,) = (run for run in runs(outputs[0]) if run.read_facts()["status"] != "done")
    before = len(left.read_metrics())
    trompe("sweep", "trust=true", f"resume={left.path.parents[3]}")

    trials = trials_in(url)
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 12
    everywhere = [run for output in outputs for run in runs(output)]
    trained = Counter(run.read_config()["lr"] for run in everywhere)
    assert trained == {float(rate): 1 for rate in RATES.partition("=")[2].split(",")}
    for run in everywhere:
        assert run.read_facts()["status"] == "done"
        assert [record["tick"] for record in run.read_metrics()] == list(range(1, 11))
    assert 0 < before < 10  # it went on in its own run


def test_samplers_of_workers_draw_different_numbers(trompe: Trompe, server: str):
    url = make_database(server, "random")
    space = "model.optimizer.lr=log(1e-5,1e-1)"
    arguments = ["sweep", space, *COMMON, "kimg=2", "sampler=random", "n_trials=10"]
    workers = [trompe.start(*arguments, f"storage={url}") for _ in range(4)]
    for worker in workers:
        _, err = worker.communicate(timeout=120)
        assert worker.returncode == 0, err
    trials = trials_in(url)
    assert len(trials) == 10
    assert len({trial.params["model.optimizer.lr"] for trial in trials}) == 10


def test_a_server_that_is_gone_is_one_line(trompe: Trompe, server: str):
    message = trompe.fails("sweep", RATES, *COMMON, f"storage={server}/missing")
    assert "cannot open the study's storage postgresql://trompe@127.0.0.1" in message
    assert 'database "missing" does not exist' in message
    assert not trompe.outputs.exists()
