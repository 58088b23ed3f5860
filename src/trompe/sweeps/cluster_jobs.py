"""A trial as a job of a cluster: what runs within it, and how it is followed from outside."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trompe.engine.parent import TASKS, die_with_parent
from trompe.runs.index import find_runs

_PERIOD = 5.0  # seconds between two looks at SLURM's queue, which all users share
_LAG = 5.0  # seconds that a shared disk may take to show the result of a job that has ended
_ACTIVE = "PENDING,CONFIGURING,RUNNING,COMPLETING,SUSPENDED,REQUEUED,REQUEUE_HOLD,RESIZING"
_ACTIVE += ",STOPPED,SIGNALING,STAGE_OUT,SPECIAL_EXIT"


class Task:
    """Runs a trial's process, in each task of the job, and passes signals on to it.

    A job that runs again goes on from its trial's last tick: SLURM itself puts it back into the
    queue if its machine fails, and submitit, after `checkpoint`, if it runs out of time.

    Args:
        command: of the trial.
        directory: that it runs in.
        output: folder for the files stdout.log and stderr.log, which are appended to.
    """

    def __init__(self, command: Sequence[str], directory: str, output: str) -> None:
        self.command = list(command)
        self.directory = directory
        self.output = Path(output)
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """The exit code of the trial's process."""
        command = self.command
        if os.environ.get("SLURM_RESTART_COUNT", "0") != "0":
            runs = find_runs(self.output)
            if runs and runs[-1].read_facts().get("status") == "done":
                return 0
            if not any(argument.startswith("run=") for argument in command):
                command = [*command, "resume=auto"]
        tasks = os.environ.get("SLURM_STEP_NUM_TASKS", "1")
        env = {**os.environ, **({} if tasks == "1" else {TASKS: tasks})}
        out, err = (self.output / name for name in ("stdout.log", "stderr.log"))
        with out.open("ab") as stdout, err.open("ab") as stderr:
            self._process = subprocess.Popen(
                command,
                cwd=self.directory,
                stdout=stdout,
                stderr=stderr,
                env=env,
                preexec_fn=_begin,
            )
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda *_: self._interrupt())
        return self._process.wait()

    def checkpoint(self) -> Any:
        """SLURM is about to end the job: end the trial's process; the same is to run again."""
        from submitit.helpers import DelayedSubmission

        assert self._process is not None
        self._interrupt()
        # Not `wait`, which this has interrupted and which holds a lock.
        with contextlib.suppress(ChildProcessError):  # it has ended, and was waited for
            os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        os.umask(0o077)  # what is left to this process is to write the command once more
        return DelayedSubmission(Task(self.command, self.directory, str(self.output)))

    def _interrupt(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)


def _begin() -> None:
    """In the trial's process: SLURM's warning, which all processes of a job get, is for `Task`."""
    die_with_parent()
    for signum in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(signum, signal.SIG_IGN)


class SlurmQueue:
    """Which of this user's jobs SLURM has, waiting or running.

    Its queue answers on every cluster; its accounting (`sacct`), which submitit asks, does not.
    """

    def __init__(self) -> None:
        self._asked = float("-inf")
        self._found: set[str] | None = None  # None: it did not answer

    def has(self, job_id: str, since: float) -> bool:
        """Whether it has a job that was submitted at `since`; if it does not answer, it may."""
        if self._asked <= since or time.monotonic() - self._asked > _PERIOD:
            self._asked, self._found = time.monotonic(), self._ask()
        return self._found is None or job_id in self._found

    @staticmethod
    def _ask() -> set[str] | None:
        command = ["squeue", "--noheader", f"--user={os.getuid()}", f"--states={_ACTIVE}"]
        try:
            done = subprocess.run(
                [*command, "--format=%A"], capture_output=True, text=True, timeout=60
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return None if done.returncode else set(done.stdout.split())


class ClusterJob:
    """A submitted job; it ends as its first task does.

    Args:
        job: submitit's.
        queue: of the cluster; None if submitit itself knows whether its job has ended.
    """

    def __init__(self, job: Any, queue: SlurmQueue | None) -> None:
        self._job = job
        self._queue = queue
        self._since = time.monotonic()
        self._gone: float | None = None  # since when it is known to have ended
        self._is_canceled = False

    def poll(self) -> int | None:
        """As of `Job`; a job that ended without a result was killed, or lost its machine."""
        is_over = self._is_over()  # before looking for the result, which is there by then
        result = self._job.task(0).paths.result_pickle
        if result.exists():
            from submitit.core.utils import pickle_load

            outcome, value = pickle_load(result)
            return int(value) if outcome == "success" else -signal.SIGKILL
        return -signal.SIGKILL if is_over else None

    def _is_over(self) -> bool:
        if self._queue is None:
            return bool(self._job.done())
        if self._queue.has(self._job.job_id, self._since):
            self._gone = None
        elif self._gone is None:
            self._gone = time.monotonic()
        return self._gone is not None and time.monotonic() - self._gone > _LAG

    def stop(self) -> None:
        """As of `Job`."""
        if not self._is_canceled:
            self._is_canceled = True
            self._job.cancel(check=False)

    def kill(self) -> None:
        """SLURM itself kills what does not end after a while."""
        self.stop()
