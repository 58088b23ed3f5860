"""Starts the other processes of a run on one machine, and knows how they ended."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

import torch
from lightning_fabric.strategies.launchers.subprocess_script import _hydra_subprocess_cmd
from lightning_fabric.utilities.distributed import _set_num_threads_if_needed
from pytorch_lightning.strategies.launchers.subprocess_script import _SubprocessScriptLauncher

from trompe.engine.parent import LOCAL_RANK, die_with_parent
from trompe.engine.processes import Processes
from trompe.errors import AnotherProcess

_PATIENCE = 10.0  # seconds for this process to notice by itself that another one has ended
_TO_PRINT = 5.0  # seconds for another process to print why it ends
_INTERRUPTED = (-signal.SIGINT, -signal.SIGTERM, 128 + signal.SIGINT)


class Launcher(_SubprocessScriptLauncher):
    """Lightning's launcher, except for what happens when one of the processes ends.

    They end with the first one, however it ends. If one of them does, the first one gets to know
    why; where it does not notice, waiting for a GPU, `on_hang` is called from another thread.

    Args:
        processes: which one this is.
        devices: how many there are on this machine.
        num_nodes: number of machines.
    """

    def __init__(self, processes: Processes, devices: int, num_nodes: int) -> None:
        super().__init__(processes, devices, num_nodes)
        self.processes = processes
        self.on_hang: Callable[[BaseException], None] | None = None
        self._is_over = threading.Event()

    def launch(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Start the others if nothing else does, wait until they are there, call `function`.

        Raises:
            AnotherProcess: if one of them ends before.
            KeyboardInterrupt: the same, if it was interrupted.
        """
        kwargs.pop("trainer", None)
        if not self.processes.are_started:
            self._start()
            while not self.processes.are_there():
                if (end := self.end_of_another()) is not None:
                    raise end
                time.sleep(0.02)
            threading.Thread(target=self._watch, name="watch", daemon=True).start()
        elif LOCAL_RANK in os.environ:
            self.processes.arrive()
        elif "TORCHELASTIC_RUN_ID" in os.environ:
            die_with_parent()  # torchrun's agent, without which nobody would end this
        _set_num_threads_if_needed(num_processes=self.num_processes)
        return function(*args, **kwargs)

    def _start(self) -> None:
        self.processes.open()
        for local_rank in range(1, self.num_processes):
            command, directory = _hydra_subprocess_cmd(local_rank)
            env = {
                **os.environ,
                LOCAL_RANK: str(local_rank),
                "MASTER_ADDR": self.processes.main_address,
                "MASTER_PORT": str(self.processes.main_port),
            }
            self.procs.append(
                subprocess.Popen(
                    command,
                    env=env,
                    cwd=directory,
                    start_new_session=True,  # Ctrl-C is for the first one, which ends the others
                    preexec_fn=die_with_parent,
                )
            )

    def end_of_another(self) -> BaseException | None:
        """Why one of the others has ended that should not have; None if none has."""
        ends = {i: code for i, process in enumerate(self.procs, 1) if (code := process.poll())}
        if any(code in _INTERRUPTED for code in ends.values()):
            return KeyboardInterrupt()
        # Those that were killed first: others end because of them.
        for rank, code in sorted(ends.items(), key=lambda item: item[1]):
            how = f"died (signal {-code})" if code < 0 else f"ended with exit code {code}"
            return AnotherProcess(f"process {rank} {how}")
        return None

    def wait_for_end(self, seconds: float = _TO_PRINT) -> BaseException | None:
        """The same, waiting a little for it."""
        deadline = time.monotonic() + seconds
        while self.procs and time.monotonic() < deadline:
            if (end := self.end_of_another()) is not None:
                return end
            time.sleep(0.02)
        return None

    def end(self, seconds: float = 0) -> None:
        """End the others: without all of them there is nothing that one can do.

        Args:
            seconds: how long they may take to end by themselves.
        """
        self._is_over.set()
        deadline = time.monotonic() + seconds
        while any(process.poll() is None for process in self.procs) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.kill(signal.SIGKILL)
        for process in self.procs:
            process.wait()

    def _watch(self) -> None:
        """In a thread of its own: do not let this process wait for one that is gone."""
        while not self._is_over.wait(0.2):
            end = self.end_of_another()
            if end is not None and not self._is_over.wait(_PATIENCE) and self.on_hang is not None:
                self.on_hang(self.end_of_another() or end)
                return


def is_lost(error: BaseException) -> bool:
    """Whether an error says no more than that another process cannot be reached."""
    return isinstance(error, torch.distributed.DistError) or (
        isinstance(error, RuntimeError) and "gloo" in str(error)
    )
