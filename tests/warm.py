"""Processes of `trompe` without the seconds that importing torch takes.

Each is a process of its own, with its own arguments, environment, folder and output, forked from
one that has imported the libraries and done nothing else.
"""

import atexit
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from subprocess import TimeoutExpired

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "trompe.tasks.train",
        "trompe.tasks.evaluate",
        "trompe.methods.adversarial_style",
        "torch._dynamo",
    ]
)


class Process:
    """As `subprocess.Popen` with its outputs captured as text, as far as the tests need it."""

    def __init__(self, arguments: list[str], cwd: Path, env: Mapping[str, str]) -> None:
        self.args = arguments
        self._files = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115
        names = [f"/proc/{os.getpid()}/fd/{file.fileno()}" for file in self._files]
        self._process = CONTEXT.Process(target=_run, args=(arguments, cwd, dict(env), names))
        self._process.start()
        self._texts: list[str] = []

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, signum: signal.Signals) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, signum)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutExpired(self.args, timeout or 0)
        for file in self._files:
            with file:
                file.seek(0)
                self._texts.append(file.read().decode())
        self._files = []
        return self._texts[0], self._texts[1]


def _run(arguments: list[str], cwd: Path, env: dict[str, str], outputs: list[str]) -> None:
    for target, name in zip((1, 2), outputs, strict=True):
        descriptor = os.open(name, os.O_WRONLY)
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    os.chdir(cwd)
    sys.path.insert(0, "")  # as with `python -m`
    sys.argv = [str(Path(sys.executable).with_name("trompe")), *arguments]
    warnings.resetwarnings()
    warnings.simplefilter("default")
    from trompe.cli import main

    code = main()
    atexit._run_exitfuncs()  # which multiprocessing leaves out
    sys.exit(code)
