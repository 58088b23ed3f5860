"""Where the process of a trial runs: on this machine, or as a job of a cluster."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from trompe.errors import UserError

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # prctl(2)


class Job(Protocol):
    """A trial's process."""

    def poll(self) -> int | None:
        """The exit code, negative if a signal ended it; None while it runs."""

    def stop(self) -> None:
        """Ask it to end: it writes its status and ends."""

    def kill(self) -> None:
        """End it now."""


class Ended:
    """A job that has already ended successfully."""

    def poll(self) -> int | None:
        """As of `Job`."""
        return 0

    def stop(self) -> None:
        """Nothing to stop."""

    def kill(self) -> None:
        """Nothing to end."""


class Local:
    """Starts trials as processes of this machine, which end with the sweep's own process.

    Args:
        command: what to start; the trial's overrides are added.
        devices: GPUs to pin trials to, one each in turn; empty: what this process may use.
        threads: CPU threads of a trial; auto: the cores shared among the jobs, unless
            ``OMP_NUM_THREADS`` is set.
    """

    def __init__(
        self,
        command: Sequence[str] = (),
        devices: Sequence[int | str] = (),
        threads: int | str = "auto",
    ) -> None:
        self.command = list(command) or [sys.executable, "-m", "trompe", "train"]
        self.devices = [str(device) for device in devices]
        self.threads = threads

    def start(self, arguments: Sequence[str], output: Path, slot: int, jobs: int) -> Job:
        """Start a trial.

        Args:
            arguments: its overrides.
            output: folder for the files stdout.log and stderr.log, which are appended to.
            slot: which of the `jobs` simultaneous trials it is.
            jobs: how many there are.
        """
        with (output / "stdout.log").open("ab") as out, (output / "stderr.log").open("ab") as err:
            return _LocalJob(
                subprocess.Popen(
                    [*self.command, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    env={**os.environ, **self._environment(slot, jobs)},
                    start_new_session=True,  # Ctrl-C is for the sweep, which stops its trials
                    preexec_fn=_die_with_parent,
                )
            )

    def _environment(self, slot: int, jobs: int) -> Mapping[str, str]:
        found = {}
        if self.devices:
            found["CUDA_VISIBLE_DEVICES"] = self.devices[slot % len(self.devices)]
        if self.threads != "auto":
            found["OMP_NUM_THREADS"] = str(self.threads)
        elif jobs > 1 and "OMP_NUM_THREADS" not in os.environ:
            found["OMP_NUM_THREADS"] = str(max(1, len(os.sched_getaffinity(0)) // jobs))
        return found


def _die_with_parent() -> None:
    """A trial whose sweep is gone would keep training with nobody to record it."""
    if hasattr(_LIBC, "prctl"):  # Linux
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class _LocalJob:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def poll(self) -> int | None:
        return self._process.poll()

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)  # with processes that it started itself
            self._process.wait()


class Submitit:
    """Submits each trial as a job through submitit: to SLURM, or to this machine to try it.

    Args:
        folder: for submitit's files, on a disk that the jobs share.
        cluster: ``slurm``, or ``local`` for processes of this machine.
        parameters: of the executor's `update_parameters` (``timeout_min``, ``gpus_per_node``,
            ``cpus_per_task``, ``slurm_partition``, ...).
    """

    def __init__(self, folder: str, cluster: str, parameters: Mapping[str, Any]) -> None:
        from submitit import AutoExecutor

        try:
            self._executor = AutoExecutor(folder=Path(folder).absolute(), cluster=cluster)
            self._executor.update_parameters(name="trompe", **parameters)
        except (RuntimeError, NameError, ValueError) as error:
            raise UserError(f"launcher: {error}") from error

    def start(self, arguments: Sequence[str], output: Path, slot: int, jobs: int) -> Job:
        """Submit a trial; arguments as of `Local.start`."""
        command = [sys.executable, "-m", "trompe", "train", *arguments]
        job = self._executor.submit(run_command, command, str(Path.cwd()), str(output))
        return _SubmititJob(job)


def run_command(command: Sequence[str], directory: str, output: str) -> int:
    """Within the job: run the trial, pass signals on to it, return its exit code."""
    folder = Path(output)
    with (folder / "stdout.log").open("ab") as out, (folder / "stderr.log").open("ab") as err:
        process = subprocess.Popen(command, cwd=directory, stdout=out, stderr=err)
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: process.send_signal(signal.SIGTERM))
    return process.wait()


class _SubmititJob:
    def __init__(self, job: Any) -> None:
        self._job = job

    def poll(self) -> int | None:
        if not self._job.done():
            return None
        error = self._job.exception()
        # A job that ended without a result was canceled, timed out or lost its node.
        return -signal.SIGKILL if error is not None else self._job.result()

    def stop(self) -> None:
        self._job.cancel()

    def kill(self) -> None:
        self._job.cancel()
