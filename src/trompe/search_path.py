"""Where modules are found: by this process and by those that it starts, wherever they go.

A run's folder says in which directory the relative paths of its config start. Processes go there
to read data. No code is found there.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

_SAFE = "PYTHONSAFEPATH"  # in which Python itself looks


def pin(arguments: Sequence[str]) -> None:
    """Fix now where modules are found; to be called before anything else.

    Python looks where the person says: in PYTHONPATH and, for ``python -m``, in the current
    folder. Where the command line speaks of code of one's own, by ``--config-dir`` or
    ``trust=true``, the current folder is searched last. Processes that are started from here
    search the same places.

    Args:
        arguments: of the command line.
    """
    here = os.getcwd()
    known = [os.path.abspath(entry) for entry in sys.path]  # an empty one is the current folder
    given = os.environ.get("PYTHONPATH", "")
    passed = [os.path.abspath(entry) for entry in given.split(os.pathsep)] if given else []
    own = any(a.startswith(("--config-dir", "-cd")) or a == "trust=true" for a in arguments)
    if sys.flags.safe_path:  # by `command`, maybe: so are the processes that are started from here
        os.environ[_SAFE] = "1"
    if not os.environ.get(_SAFE) and (own or known[:1] == [here]):
        known += [here] if here not in known else []
        passed += [here] if here not in passed else []
    sys.path[:] = known
    if passed:
        os.environ["PYTHONPATH"] = os.pathsep.join(passed)


def enter(directory: Path) -> None:
    """Go to a directory that a folder names; no process started there finds a module in it."""
    os.chdir(directory)
    os.environ[_SAFE] = "1"


def command(*arguments: str) -> list[str]:
    """The command that starts another `trompe`, which finds no module in its current folder."""
    return [sys.executable, "-P", "-m", "trompe", *arguments]
