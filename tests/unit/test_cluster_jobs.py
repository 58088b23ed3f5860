"""A trial as a job of a cluster, without one; `tests/cluster` has the real thing."""

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import wait
from trompe.runs.run_folder import RunFolder
from trompe.sweeps.cluster_jobs import ClusterJob, SlurmQueue, Task
from trompe.sweeps.launchers import Submitit

WAITS = "import time; print('started', flush=True); time.sleep(60)"


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `squeue` prints; it fails where there is no such file."""
    script = tmp_path / "squeue"
    script.write_text(f"#!/bin/sh\ncat {tmp_path}/jobs 2>/dev/null\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path / "jobs"


def test_the_queue_is_asked_now_and_then(squeue):
    squeue.write_text("7\n8\n")
    queue = SlurmQueue()
    submitted = time.monotonic()
    assert queue.has("7", submitted) and not queue.has("9", submitted)
    squeue.write_text("8\n9\n")
    assert queue.has("7", submitted)  # as it was a moment ago
    assert queue.has("9", time.monotonic())  # which was submitted later
    assert not queue.has("7", submitted)


def test_a_queue_that_does_not_answer_ends_no_job(squeue, monkeypatch):
    assert SlurmQueue().has("7", time.monotonic())
    monkeypatch.setenv("PATH", "")
    assert SlurmQueue().has("7", time.monotonic())


@pytest.fixture
def handlers() -> Iterator[None]:
    """A task handles signals, and may hide what it writes, for as long as its process lives."""
    signums = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(signum) for signum in signums]
    umask = os.umask(0o022)
    yield
    os.umask(umask)
    for signum, handler in zip(signums, before, strict=True):
        signal.signal(signum, handler)


class Submitted:
    """What `ClusterJob` uses of submitit's job."""

    job_id = "7"

    def __init__(self, result: Path) -> None:
        self.paths = type("Paths", (), {"result_pickle": result})

    def task(self, number: int) -> "Submitted":
        return self


def test_a_job_that_is_gone_without_a_result_was_stopped(squeue, tmp_path, monkeypatch):
    monkeypatch.setattr("trompe.sweeps.cluster_jobs._PERIOD", 0)
    monkeypatch.setattr("trompe.sweeps.cluster_jobs._LAG", 0.05)
    squeue.write_text("7\n")
    job = ClusterJob(Submitted(tmp_path / "result.pkl"), SlurmQueue())
    assert job.poll() is None
    squeue.write_text("")
    assert job.poll() is None  # its result may be on its way
    squeue.write_text("7\n")
    assert job.poll() is None  # it waits again
    squeue.write_text("")
    wait(lambda: job.poll() is not None, 5)
    assert job.poll() == -signal.SIGKILL


def test_a_task_that_is_warned_ends_its_trial(tmp_path, handlers):
    task = Task([sys.executable, "-c", WAITS, "a=1"], str(tmp_path), str(tmp_path))
    made = []

    def warn() -> None:
        log = tmp_path / "stdout.log"
        wait(lambda: log.is_file() and log.read_text() == "started\n")
        os.kill(task._process.pid, signal.SIGUSR2)  # all processes of the job get it
        made.append(task.checkpoint())

    thread = threading.Thread(target=warn)
    thread.start()
    assert task() == -signal.SIGTERM
    thread.join()
    assert os.umask(0o022) == 0o077  # for submitit, which writes the command once more
    again = made[0].function
    for name in ("command", "directory", "output"):
        assert getattr(again, name) == getattr(task, name)


def test_a_task_says_that_it_is_one_of_several(tmp_path, monkeypatch, handlers):
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    code = "import os; print(os.environ['TROMPE_TASKS'])"
    assert Task([sys.executable, "-IS", "-c", code], str(tmp_path), str(tmp_path))() == 0
    assert (tmp_path / "stdout.log").read_text() == "2\n"


def test_a_task_that_runs_again_resumes_its_trial(tmp_path, monkeypatch, handlers):
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    run = RunFolder(tmp_path / "name" / "run")
    run.create({}, [], {})
    command = [sys.executable, "-IS", "-c", "import sys; print(sys.argv[1:])"]
    for argument, told in (("a=1", "['a=1', 'resume=auto']"), ("run=b", "['run=b']")):
        assert Task([*command, argument], str(tmp_path), str(tmp_path))() == 0
        assert (tmp_path / "stdout.log").read_text().splitlines()[-1] == told
    run.update_facts(status="done")  # the job was stopped right before its end
    assert Task([*command, "a=1"], str(tmp_path), str(tmp_path))() == 0
    assert len((tmp_path / "stdout.log").read_text().splitlines()) == 2


@pytest.mark.parametrize(("name", "mode"), [("new/a", 0o700), ("new/%j", 0o700), ("old", 0o755)])
def test_what_is_submitted_is_for_its_owner_alone(tmp_path, monkeypatch, handlers, name, mode):
    (tmp_path / "old").mkdir()
    launcher = Submitit(str(tmp_path / name), "local", {})
    folder = tmp_path / name.removesuffix("/%j")
    assert stat.S_IMODE(folder.stat().st_mode) == mode
    pickle = folder / "7_submitted.pkl"

    def submit(task: Task) -> Submitted:
        pickle.write_text(" ".join(task.command))
        job = Submitted(pickle)
        job.paths.submitted_pickle = pickle
        return job

    monkeypatch.setattr(launcher._executor, "submit", submit)
    launcher.start(["+my_token=hunter22"], tmp_path, 0, 1)
    assert "hunter22" in pickle.read_text() and stat.S_IMODE(pickle.stat().st_mode) == 0o600
