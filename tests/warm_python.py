"""What stands for `sys.executable` in processes of `tests.warm`, which writes two lines above.

`python -m trompe ...` and `python .../trompe ...` become a fork of a process that has imported the
libraries, for which this one stands; everything else is run by Python itself.
"""

import array
import json
import os
import signal
import socket
import sys


def warm() -> "list[str] | None":
    """The arguments of trompe, if it is what is to be run."""
    found = sys.argv[1:]
    if found[:1] == ["-P"]:
        os.environ["PYTHONSAFEPATH"] = "1"
        del found[0]
    if found[:2] == ["-m", "trompe"]:
        return found[2:]
    return found[1:] if found and os.path.basename(found[0]) == "trompe" else None


def main() -> int:
    arguments = warm()
    if arguments is None:
        os.execv(PYTHON, [PYTHON, *sys.argv[1:]])  # noqa: F821
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(ADDRESS)  # noqa: F821
        # From here on signals are for the fork.
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, lambda signum, _: server.send(bytes([signum])))
        request = json.dumps([arguments, os.getcwd(), dict(os.environ)]).encode() + b"\0"
        descriptors = array.array("i", [0, 1, 2])
        sent = server.sendmsg([request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
        server.sendall(request[sent:])
        answer = server.recv(64)
    code = int(answer or 1)
    if code < 0:  # ended by a signal: so is this
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    return code


sys.exit(main())
