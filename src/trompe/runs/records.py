"""metrics.jsonl: one line for every tick, a mapping of names to numbers."""

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trompe.lines import append_line, cut_back, line_blocks
from trompe.runs.reading import Unreadable, opened, parse_json
from trompe.runs.shape import NUMBER, TEXT, Maybe, misfit

Record = dict[str, Any]  # "time" is text; all others are finite numbers, or None

_VALUE = Maybe(NUMBER)
_NUMBERS = {int, float}
_MOST = sys.float_info.max


def append_record(path: Path, record: Mapping[str, Any]) -> None:
    """Add a record, whole or not at all; values that are not finite become null.

    Raises:
        CannotWrite: if it cannot be written.
    """
    clean = {k: _finite(v) for k, v in record.items()}
    append_line(path, json.dumps(clean))


def read_records(path: Path) -> Iterator[Record]:
    """The records, oldest first, one block in memory at a time; a torn last line is left out.

    Raises:
        Unreadable: naming the first line that is not a record.
    """
    number = 1
    with opened(path) as file:
        for lines, is_whole in line_blocks(file):
            yield from parse_records(lines, number) if is_whole else _untorn(lines[0], number)
            number += len(lines)


def rewind(path: Path, kimg: float) -> None:
    """Drop the records after `kimg`, reading no others.

    Raises:
        Unreadable: if one of the last lines is not a record.
        CannotWrite: if they cannot be dropped.
    """

    def is_kept(line: bytes, is_whole: bool) -> bool:
        try:
            found = parse_records([line], 1) if is_whole else _untorn(line, 1)
        except ValueError as error:
            reason = str(error).removeprefix("line 1: ")
            raise Unreadable(path, f"one of its last lines: {reason}") from error
        return bool(found) and found[0]["kimg"] <= kimg + 1e-9

    cut_back(path, is_kept)


class Follower:
    """Reads the records of a run in progress as they come.

    Args:
        path: metrics.jsonl, which need not be there yet.

    Attributes:
        records: all so far, oldest first.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: list[Record] = []
        self._stamp: tuple[int, ...] = ()
        self._end = 0  # bytes that were read
        self._last = b""  # the line before that

    def read(self) -> None:
        """Take over what was appended since the last time; all, if what was there is another.

        Raises:
            Unreadable: naming the first line that is not a record.
        """
        if not self.path.exists():
            return
        with opened(self.path) as file:
            status = os.fstat(file.fileno())
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            if stamp == self._stamp:
                return
            file.seek(self._end - len(self._last))
            if file.read(len(self._last)) != self._last:  # a resumed run has cut it back
                self._end, self._last = 0, b""
                self.records = []
                file.seek(0)
            for lines, is_whole in line_blocks(file):
                if is_whole:
                    self.records += parse_records(lines, len(self.records) + 1)
                    self._end += sum(len(line) + 1 for line in lines)
                    self._last = lines[-1] + b"\n"
            self._stamp = stamp


def parse_records(lines: Sequence[bytes], number: int) -> list[Record]:
    """The records in these lines, of which the first has that number; empty ones are left out.

    Raises:
        ValueError: naming the first line that is not a record, and saying why.
    """
    try:
        # At once, which takes two thirds of the time.
        found: Any = parse_json((b"[" + b",".join(lines) + b"]").decode())
        if len(found) == len(lines) and all(map(_is_record, found)):
            return found  # type: ignore[no-any-return]
    except ValueError:
        pass
    records = []
    for i, line in enumerate(lines, number):
        if line.strip():
            try:
                records.append(_checked(parse_json(line.decode())))
            except UnicodeDecodeError as error:
                raise ValueError(f"line {i}: it is not UTF-8 text") from error
            except ValueError as error:
                raise ValueError(f"line {i}: {error}") from error
    return records


def _untorn(line: bytes, number: int) -> list[Record]:
    """The record in a last line without a newline; none if it was torn when its writer died."""
    try:
        parse_json(line.decode())
    except ValueError:
        return []
    return parse_records([line], number)


def _is_record(value: Any) -> bool:
    """The same as `_checked`, quickly."""
    if type(value) is not dict or value.get("kimg") is None:
        return False
    if type(value.get("time", "")) is not str:
        return False
    for name, number in value.items():
        if number is None or (type(number) in _NUMBERS and -_MOST <= number <= _MOST):
            continue
        if name != "time" or type(number) is not str:
            return False
    return True


def _checked(value: Any) -> Record:
    names = value if isinstance(value, dict) else ()
    if reason := misfit(value, {name: TEXT if name == "time" else _VALUE for name in names}):
        raise ValueError(reason)
    if value.get("kimg") is None:
        raise ValueError("it has no kimg")
    return value  # type: ignore[no-any-return]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
