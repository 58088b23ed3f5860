"""Files of lines that grow at their end: read block by block, appended to, cut back."""

import contextlib
import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from trompe.files import told_as

_BLOCK = 1 << 18  # bytes read at once
LONGEST = 1 << 20  # bytes of one line


def line_blocks(file: IO[bytes]) -> Iterator[tuple[list[bytes], bool]]:
    """The lines from here on, in blocks, without their newlines.

    Returns:
        Blocks, and whether newlines end their lines: none ends that of the last one if its writer
        died, or has not finished.

    Raises:
        ValueError: if one is longer than `LONGEST`.
    """
    rest = b""
    while block := file.read(_BLOCK):
        *whole, rest = (rest + block).split(b"\n")
        if len(rest) > LONGEST:
            raise ValueError(f"it has a line of more than {LONGEST} bytes")
        if whole:
            yield whole, True
    if rest:
        yield [rest], False


def append_line(path: Path, line: str) -> None:
    """Add a line, whole or not at all; it is on the disk then.

    Raises:
        CannotWrite: for an `OSError`, such as a full disk.
    """
    rest = f"{line}\n".encode()
    with told_as(path), path.open("ab", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        try:
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except BaseException:
            with contextlib.suppress(OSError):
                file.truncate(end)
            raise


def cut_back(path: Path, is_kept: Callable[[bytes, bool], bool]) -> None:
    """Drop lines from the end until one is kept, reading no more than these.

    Args:
        path: the file; nothing happens if it is missing.
        is_kept: of a line without its newline, and of whether it has one.

    Raises:
        CannotWrite: for an `OSError`.
    """
    with told_as(path), contextlib.suppress(FileNotFoundError), path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        end, is_whole = _end_of_kept(file, size, is_kept) if size else (0, True)
        if end < size:
            file.truncate(end)
        if not is_whole:
            file.seek(end)
            file.write(b"\n")


def _end_of_kept(
    file: IO[bytes], size: int, is_kept: Callable[[bytes, bool], bool]
) -> tuple[int, bool]:
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        end, is_whole = size, text[size - 1 :] == b"\n"
        while end:
            start = text.rfind(b"\n", 0, end - 1) + 1
            line = text[start : min(end, start + LONGEST)]
            if is_kept(line.removesuffix(b"\n"), is_whole):
                return end, is_whole
            end, is_whole = start, True
    return 0, True
