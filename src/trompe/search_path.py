"""Where modules are found: by this process and by those that it starts, wherever they go.

A run's folder says in which directory the relative paths of its config start. Processes go there
to read data. No code is found there.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

_SAFE = "PYTHONSAFEPATH"  # in which Python itself looks
# The first part of a dotted name that stands alone, and not in a path or a number.
_DOTTED = re.compile(r"(?<![\w./~-])([^\W\d]\w*)\.[^\W\d]")


def pin(arguments: Sequence[str]) -> None:
    """Fix now where modules are found; to be called before anything else.

    Python looks where the person says: in PYTHONPATH and, for ``python -m``, in the current
    folder. Where the command line speaks of code of one's own, the current folder is searched
    last, and after it the one that holds the folder of ``--config-dir``. It speaks of it by
    ``--config-dir``, by ``trust=true``, and by the dotted name of a module in the current folder
    (``model.loss=my_losses.cubic``). Processes that are started from here search the same places.

    Args:
        arguments: of the command line.
    """
    here = os.getcwd()
    known = [os.path.abspath(entry) for entry in sys.path]  # an empty one is the current folder
    given = os.environ.get("PYTHONPATH", "")
    passed = [os.path.abspath(entry) for entry in given.split(os.pathsep)] if given else []
    if sys.flags.safe_path:  # by `command`, maybe: so are the processes that are started from here
        os.environ[_SAFE] = "1"
    if not os.environ.get(_SAFE):
        own = list(_own_folders(arguments, here))
        if not own and known[:1] == [here]:
            own = [here]
        known += [folder for folder in own if folder not in known]
        passed += [folder for folder in own if folder not in passed]
    sys.path[:] = known
    if passed:
        os.environ["PYTHONPATH"] = os.pathsep.join(passed)


def _own_folders(arguments: Sequence[str], here: str) -> Iterator[str]:
    """Where code of one's own is, if the command line speaks of it."""
    configs = [os.path.abspath(folder) for folder in _config_dirs(arguments)]
    if configs or "trust=true" in arguments or any(_names_module(a, here) for a in arguments):
        yield here
    for folder in configs:
        if (parent := os.path.dirname(folder)) != here:
            yield parent


def _config_dirs(arguments: Sequence[str]) -> Iterator[str]:
    """The values of ``--config-dir``, which Hydra also calls ``-cd``."""
    for argument, following in zip(arguments, (*arguments, "")[1:], strict=True):
        flag, equals, value = argument.partition("=")
        if flag in ("--config-dir", "-cd") and (value or following):
            yield value if equals else following


def _names_module(argument: str, here: str) -> bool:
    """Whether an override's value has the dotted name of a module in the current folder."""
    return any(
        os.path.isfile(os.path.join(here, f"{name}.py")) or os.path.isdir(os.path.join(here, name))
        for name in _DOTTED.findall(argument.partition("=")[2])
    )


def enter(directory: Path) -> None:
    """Go to a directory that a folder names; no process started there finds a module in it."""
    os.chdir(directory)
    os.environ[_SAFE] = "1"


def command(*arguments: str) -> list[str]:
    """The command that starts another `trompe`, which finds no module in its current folder."""
    return [sys.executable, "-P", "-m", "trompe", *arguments]
