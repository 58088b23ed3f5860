"""Processes of `trompe` without the seconds that importing torch takes.

Each is a process of its own, with its own arguments, environment, folder and output, forked from
one that has imported the libraries and done nothing else. So are those that it starts itself by
`sys.executable`: of DDP, of a sweep, of a reproduction. They find `tests/warm_python.py` there,
a real process, which asks `_serve` for the fork and then stands for it: signals pass to the fork,
its exit code comes back, and it dies with whom it stands for.
"""

import atexit
import json
import multiprocessing
import os
import resource
import signal
import socket
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from multiprocessing import connection
from pathlib import Path
from subprocess import TimeoutExpired

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.warm_libraries"])
_PYTHON = Path(__file__).with_name("warm_python.py")


class Process:
    """As `subprocess.Popen` with its outputs captured as text, as far as the tests need it.

    Args:
        arguments: of the command line.
        cwd: the folder it runs in.
        env: its environment. With another copy of trompe on PYTHONPATH, that one is run.
        largest: bytes beyond which no file can grow, which fails as a full disk.
    """

    def __init__(
        self,
        arguments: list[str],
        cwd: Path,
        env: Mapping[str, str],
        largest: int | None = None,
    ) -> None:
        self.args = arguments
        self._files = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115
        names = [f"/proc/{os.getpid()}/fd/{file.fileno()}" for file in self._files]
        settings = (arguments, str(cwd), dict(env), names, _server(), largest)
        self._process = CONTEXT.Process(target=_start, args=settings)
        self._process.start()
        self._texts: list[str] = []

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutExpired(self.args, timeout or 0)
        return self._process.exitcode

    def send_signal(self, signum: signal.Signals) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        self.wait(timeout)
        for file in self._files:
            with file:
                file.seek(0)
                self._texts.append(file.read().decode())
        self._files = []
        return self._texts[0], self._texts[1]


def _start(
    arguments: list[str],
    cwd: str,
    env: dict[str, str],
    outputs: list[str],
    executable: str,
    largest: int | None,
) -> None:
    for target, name in zip((1, 2), outputs, strict=True):
        descriptor = os.open(name, os.O_WRONLY)
        os.dup2(descriptor, target)
        os.close(descriptor)
    if largest is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
    _run(arguments, cwd, env, executable)


def _run(arguments: Sequence[str], cwd: str, env: Mapping[str, str], executable: str) -> None:
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    os.chdir(cwd)
    _find_modules(env)
    sys.argv = [str(Path(sys.executable).with_name("trompe")), *arguments]
    sys.executable = executable
    warnings.resetwarnings()
    warnings.simplefilter("default")
    from trompe.cli import main

    code = main()
    atexit._run_exitfuncs()  # which multiprocessing leaves out
    sys.exit(code)


def _find_modules(env: Mapping[str, str]) -> None:
    """Put PYTHONPATH in front; where another trompe is on it, forget the one that is imported.

    And before it the current folder, as `python -m` does, and `python -P -m` does not.
    """
    added = [path for path in env.get("PYTHONPATH", "").split(":") if path]
    sys.path[:0] = added if env.get("PYTHONSAFEPATH") else [os.getcwd(), *added]
    copy = next((found for path in added if (found := Path(path) / "trompe").is_dir()), None)
    imported = Path(sys.modules["trompe"].__path__[0])
    if copy is None or copy.samefile(imported):
        return
    for name in [name for name in sys.modules if name.partition(".")[0] == "trompe"]:
        del sys.modules[name]
    import trompe

    assert copy.samefile(trompe.__path__[0])


def _server() -> str:
    """The executable of the processes that processes start; what serves it is started once."""
    if not _started:
        folder = tempfile.TemporaryDirectory(prefix="warm")
        python, address = Path(folder.name) / "python", str(Path(folder.name) / "socket")
        # Nothing but the standard library: it starts in milliseconds.
        settings = f"#!{sys.executable} -IS\nPYTHON, ADDRESS = {sys.executable!r}, {address!r}\n"
        python.write_text(settings + _PYTHON.read_text())
        python.chmod(0o755)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(address)
        listener.listen(64)
        process = CONTEXT.Process(target=_serve, args=(listener, str(python)))
        process.start()
        listener.close()
        _started.extend([folder, process, str(python)])
        atexit.register(process.terminate)  # before multiprocessing waits for it
    return _started[-1]


_started: list = []


def _serve(listener: socket.socket, executable: str) -> None:
    """Fork a process for each connection, until the tests end."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies
    parent = multiprocessing.parent_process()
    assert parent is not None
    while parent.sentinel not in connection.wait([listener, parent.sentinel]):
        client, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            _attend(client, executable)
        client.close()


def _attend(client: socket.socket, executable: str) -> None:
    """Fork what a client asks for, and be its messenger; does not return."""
    text, descriptors, _, _ = socket.recv_fds(client, 1 << 20, 3)
    while not text.endswith(b"\0"):
        text += client.recv(1 << 20)
    arguments, cwd, env = json.loads(text[:-1])
    if (pid := os.fork()) == 0:
        client.close()
        for target, descriptor in enumerate(descriptors):
            os.dup2(descriptor, target)
            os.close(descriptor)
        os._exit(_code_of(arguments, cwd, env, executable))
    for descriptor in descriptors:
        os.close(descriptor)
    ended, gone = os.pidfd_open(pid), False
    while ended not in connection.wait([ended] if gone else [client, ended]):
        signums = client.recv(64)
        gone = not signums  # who it stands for was killed
        for signum in signums or [signal.SIGKILL]:
            os.kill(pid, signum)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if not gone:
        client.sendall(str(code).encode())
    os._exit(0)


def _code_of(arguments: Sequence[str], cwd: str, env: Mapping[str, str], executable: str) -> int:
    try:
        _run(arguments, cwd, env, executable)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0
