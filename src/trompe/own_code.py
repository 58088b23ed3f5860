"""Code that a user hands over: what is wrong with it, in one line with the file and the line."""

import linecache
import os
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trompe.errors import UserError

# Code in these is not the user's.
_INSTALLED = [sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")]
_OTHERS = tuple(
    f"{os.path.realpath(path)}{os.sep}" for path in (str(Path(__file__).parent), *_INSTALLED)
)
_TOLD_ELSEWHERE = (UserError, MemoryError)


def is_own(thing: Any) -> bool:
    """Whether a function or class, or the class of an object, is from outside of the package."""
    module = getattr(thing, "__module__", None) or type(thing).__module__
    return not f"{module}.".startswith("trompe.")


def name_of(thing: Any) -> str:
    """The dotted name of a function or class, or of the class of an object."""
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{named.__module__}.{named.__qualname__}"


@contextmanager
def own_code(what: str) -> Iterator[None]:
    """Inside this context code of the user's may run.

    Args:
        what: the config's key or the part's name, for the message.

    Raises:
        UserError: for whatever that code raises, and for a method that it lacks. What the package
            raises by itself passes as it is.
    """
    try:
        yield
    except _TOLD_ELSEWHERE:
        raise
    except Exception as error:
        if (line := describe(error)) is None:
            raise
        raise UserError(f"{what}: {line}") from error


def describe(error: BaseException) -> str | None:
    """What an error says, and where in the user's code; None if none of that was running."""
    if isinstance(error, NotImplementedError) and (lacking := _lacking(error)) is not None:
        return lacking
    if isinstance(error, AttributeError) and _extends_ours(error.obj) and not began_there(error):
        return (
            f"{name_of(error.obj)} has no {error.name}: call super().__init__(**common) in its "
            "__init__"
        )
    if (place := place_of(error)) is None:
        return None
    return f"{type(error).__name__}: {' '.join(str(error).split())} ({place})"


def place_of(error: BaseException) -> str | None:
    """The line of the user's code where an error began; None if it began elsewhere.

    Returns:
        ``my_data.py, line 12: return self.pictures[index]``.
    """
    if isinstance(error, SyntaxError) and error.filename:
        places = [(error.filename, error.lineno or 0)]
    else:
        frames = traceback.extract_tb(error.__traceback__)
        places = [(frame.filename, frame.lineno or 0) for frame in frames]
    own = [(file, line) for file, line in places if _is_users(file)]
    if not own:
        return None
    file, line = own[-1]
    text = linecache.getline(file, line).strip()
    return f"{_short(file)}, line {line}{f': {text}' if text else ''}"


def began_there(error: BaseException) -> bool:
    """Whether an error was raised by the user's code itself, not by a library that it called."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and _is_users(frames[-1].filename)


def _is_users(file: str) -> bool:
    path = os.path.realpath(file)
    runs_trompe = os.path.basename(path) in ("trompe", "__main__.py")
    return os.path.isfile(path) and not path.startswith(_OTHERS) and not runs_trompe


def _extends_ours(thing: Any) -> bool:
    bases = type(thing).__mro__
    return is_own(bases[0]) and not all(map(is_own, bases))


def _short(file: str) -> str:
    path = os.path.relpath(file)
    return file if path.startswith("..") else path


def _lacking(error: BaseException) -> str | None:
    """Says which method of a base class of ours the user's class had to write."""
    innermost = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        innermost = frame
    if innermost is None:
        return None
    of, method = innermost.f_locals.get("self"), innermost.f_code.co_name
    base = next((one for one in type(of).__mro__ if method in vars(one)), None)
    if of is None or base is None or is_own(base) or not is_own(type(of)):
        return None
    return f"{name_of(of)} has no {method}: write it, see {name_of(base)}.{method}"
