"""Where the process of a trial runs: on this machine, or as a job of a cluster."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from trompe.engine.parent import alone, die_with_parent
from trompe.errors import UserError
from trompe.paths import expand
from trompe.search_path import command as trompe_command
from trompe.sweeps.cluster_jobs import ClusterJob, SlurmQueue, Task


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
        self.command = list(command) or trompe_command("train")
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
                    env={**alone(os.environ), **self._environment(slot, jobs)},
                    start_new_session=True,  # Ctrl-C is for the sweep, which stops its trials
                    preexec_fn=die_with_parent,
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
        folder: for submitit's files, on a disk that the jobs share. They hold the trials' commands,
            secrets too: a new one is for its owner alone.
        cluster: ``slurm``, or ``local`` for processes of this machine.
        parameters: of the executor's `update_parameters` (``timeout_min``, ``gpus_per_node``,
            ``cpus_per_task``, ``slurm_partition``, ...). With several tasks (``nodes``,
            ``tasks_per_node``) they are the processes of one trial, as the trainer has to say.
    """

    def __init__(self, folder: str, cluster: str, parameters: Mapping[str, Any]) -> None:
        from submitit import AutoExecutor
        from submitit.core.utils import JobPaths

        place = expand(folder, "launcher.folder").absolute()
        shared = JobPaths.get_first_id_independent_folder(place)
        is_new = not shared.exists()
        try:
            self._executor = AutoExecutor(folder=place, cluster=cluster)
            self._executor.update_parameters(name="trompe", **parameters)
            shared.mkdir(parents=True, exist_ok=True)
            if is_new:  # and empty
                shared.chmod(0o700)
        except OSError as error:
            raise UserError(f"launcher.folder: {error}") from error
        except (RuntimeError, NameError, ValueError) as error:
            raise UserError(f"launcher: {error}") from error
        self._queue = SlurmQueue() if self._executor.cluster == "slurm" else None

    def start(self, arguments: Sequence[str], output: Path, slot: int, jobs: int) -> Job:
        """Submit a trial; arguments as of `Local.start`.

        Raises:
            UserError: if the cluster refuses it.
        """
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        command = trompe_command("train", *arguments)
        try:
            job = self._executor.submit(Task(command, str(Path.cwd()), str(output)))
            job.paths.submitted_pickle.chmod(0o600)  # in a folder that was there
        except (FailedJobError, FailedSubmissionError, OSError) as error:
            lines = str(error).strip().splitlines()
            raise UserError(f"launcher: the job was not taken: {lines[-1]}") from error
        return ClusterJob(job, self._queue)
