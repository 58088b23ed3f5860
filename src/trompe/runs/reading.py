"""The one way in which files of runs and sweeps are read: with bounds, and data only.

Whatever is wrong with a file, and with what is in its place, is an `Unreadable`.
"""

import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

from trompe.errors import FileFault
from trompe.runs.plain_yaml import DEEPEST, parse_yaml, parse_yaml_shared
from trompe.runs.shape import Shape, misfit

_LARGEST = 32_000_000  # bytes; the uncommitted changes of the code are in some


class Unreadable(FileFault):
    """A file that cannot be read, or does not hold what it should."""

    what = "cannot read"


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """An open file; what is not one, such as a pipe, is refused without waiting for it.

    Raises:
        Unreadable: for that, for an `OSError`, and for a `ValueError` of who reads it.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError("it is not a file")
            yield file
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise Unreadable(path, f"byte {error.start + 1} is not of UTF-8 text") from error
    except ValueError as error:
        raise Unreadable(path, str(error)) from error


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def read_bytes(path: Path, most: int) -> bytes:
    """The content of a file of at most that many bytes.

    Raises:
        Unreadable: if it is larger, or cannot be read.
    """
    with opened(path) as file:
        return _content(file, most)


def read_json(path: Path, shape: Shape, most: int = _LARGEST) -> Any:
    """The value in a JSON file of at most that many bytes.

    Raises:
        Unreadable: if it cannot be read or is not JSON of that shape.
    """
    with opened(path) as file:
        value = parse_json(_content(file, most).decode())
        _check_depth(value)
        return _checked(value, shape)


def read_yaml(path: Path, shape: Shape, is_shared: bool = False) -> Any:
    """The value in a YAML file.

    Args:
        path: the file.
        shape: of the value.
        is_shared: whether parts may be objects that other files' values have too.

    Raises:
        Unreadable: if it cannot be read or is not plain YAML of that shape.
    """
    parse = parse_yaml_shared if is_shared else parse_yaml
    with opened(path) as file:
        return _checked(parse(_content(file, _LARGEST).decode()), shape)


def require(path: Path, value: dict[str, Any], names: Iterable[str]) -> None:
    """Refuse what was read from `path` if one of these entries is missing; dots lead inwards.

    Raises:
        Unreadable: naming those that are.
    """
    if missing := [name for name in names if _entry(value, name) is None]:
        raise Unreadable(path, f"it has no {', '.join(missing)}")


def _entry(value: Any, name: str) -> Any:
    for key in name.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def parse_json(text: str) -> Any:
    """The value that JSON stands for.

    Raises:
        ValueError: saying what is wrong with it, in one line.
    """
    try:
        value = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        if not text.strip():
            raise ValueError("it is empty") from error
        where = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"it is not JSON: {error.msg} ({where})") from error
    except RecursionError as error:
        raise ValueError("its values are nested too deeply") from error
    except ValueError as error:
        too_long = "it has a number of thousands of digits"
        raise ValueError(too_long if "digits" in str(error) else str(error)) from error
    return value


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")


def _content(file: IO[bytes], most: int) -> bytes:
    data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it is larger than {most / 1e6:g} MB")
    return data


def _checked(value: Any, shape: Shape) -> Any:
    if reason := misfit(value, shape):
        raise ValueError(reason)
    return value


def _check_depth(value: Any) -> None:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(DEEPEST + 1):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise ValueError(f"it has more than {DEEPEST} levels")
