"""Standard output and error that may lose their reader while work goes on."""

import errno
import io
import os
import sys
from typing import Any

_NO_READER = (errno.EPIPE, errno.EIO)  # a closed pipe, a closed terminal


def keep_streams() -> None:
    """From now on no write to stdout or stderr ends this process.

    Once nobody reads a stream (``trompe train | head -1``), or its disk is full, the rest goes
    nowhere. So does one that is closed from the start (``>&-``): no other file gets its number.
    """
    while (spare := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(spare, True)
    os.close(spare)
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None or _number(stream) == number:
            setattr(sys, name, _kept(stream, number))


def lost_output() -> str | None:
    """Why the system took no more of stdout, although there is somebody to read it; else None."""
    sys.stdout.flush()
    buffer: Any = getattr(sys.stdout, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    return raw.lost if isinstance(raw, _Raw) else None


def visible(text: str, kept: str = "") -> str:
    """A text whose control characters, which a terminal obeys and which hide others, are visible.

    Args:
        text: from anywhere.
        kept: control characters that stay.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in kept else ascii(c)[1:-1] for c in text)


class _Raw(io.FileIO):
    lost: str | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in _NO_READER:
                self.lost = error.strerror
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return memoryview(data).nbytes


def _number(stream: Any) -> int | None:
    try:
        return int(stream.fileno())
    except (OSError, ValueError, AttributeError):  # not a file: a test's, or a notebook's
        return None


def _kept(stream: Any, number: int) -> io.TextIOWrapper:
    raw = _Raw(number, "w", closefd=False)
    if stream is None:
        return io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", "backslashreplace")
    stream.flush()
    unbuffered = isinstance(stream.buffer, io.RawIOBase)
    return io.TextIOWrapper(
        raw if unbuffered else io.BufferedWriter(raw),
        stream.encoding,
        # A name that is no text in this encoding must not end what it is told by.
        "backslashreplace" if stream.errors == "strict" else stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
