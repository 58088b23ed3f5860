"""Errors that the user can fix: one clear line, exit code 2, no traceback."""

import math
import re
import sys
from pathlib import Path
from typing import Annotated, Any

# The annotation of a whole number of at least 1, as a config is checked against.
Count = Annotated[int, 1]


class UserError(Exception):
    """Says in one line what is wrong, where, and what to do about it.

    Attributes:
        is_told: whether another process prints it.
    """

    is_told = False


class AnotherProcess(UserError):
    """Says why another process of the run ended, which ends this one."""


class FileFault(UserError):
    """A file or folder that something cannot be done with; subclasses say what.

    Args:
        path: of the file.
        reason: what is wrong, in words.
    """

    what = ""  # "cannot read"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)  # what pickle makes it from again
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.what} {self.path}: {self.reason}"


def show(value: object) -> str:
    """A value of a config as it is typed; text that reads like a number, say, is quoted."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(map(show, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{show(entry)}' for key, entry in value.items())}}}"
    if isinstance(value, str) and (not value or _READS_AS_OTHER.fullmatch(value.lower())):
        return f"'{value}'"
    return str(value)


_READS_AS_OTHER = re.compile(
    r"[-+]?(\d[\d_]*\.?\d*|\.\d+)(e[-+]?\d+)?|[-+]?(nan|inf)|null|true|false"
)


def is_number(value: Any) -> bool:
    """Whether it is a finite number that a float can hold; a boolean is none."""
    most = sys.float_info.max
    return isinstance(value, int | float) and not isinstance(value, bool) and -most <= value <= most


def check_number(
    key: str, value: object, least: float = -math.inf, above: float = -math.inf
) -> None:
    """Refuse anything but a finite number of at least `least` and above `above`.

    Raises:
        UserError: naming the config's `key`.
    """
    if is_number(value) and value >= least and value > above:  # type: ignore[operator]
        return
    limit = f" above {above:g}" if math.isfinite(above) else ""
    limit = f" of at least {least:g}" if math.isfinite(least) else limit
    raise UserError(f"{key}={show(value)} must be a number{limit}")


def check_count(key: str, value: object, least: int = 1, most: int = 2**63 - 1) -> None:
    """Refuse anything but a whole number from `least` to `most`.

    Raises:
        UserError: naming the config's `key`.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UserError(f"{key}={show(value)} must be a whole number of at least {least}")
    if value > most:
        raise UserError(f"{key}={show(value)} must be at most {most}")


def check_positive(key: str, value: object) -> None:
    """Refuse anything but a finite number above 0.

    Raises:
        UserError: naming the config's `key`.
    """
    check_number(key, value, above=0)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it says that memory is missing: Python's own, or torch's on a CPU or a GPU."""
    if isinstance(error, MemoryError):
        return True
    said = str(error)
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in said or "out of memory" in said
    )
