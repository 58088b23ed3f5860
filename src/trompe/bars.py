"""How far a piece of work is: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from typing import Any

from tqdm import tqdm

_FORMAT = "{desc} {n_fmt}/{total_fmt} {unit}s, {rate_fmt}, {remaining} left"


class Bar(tqdm):  # type: ignore[type-arg]  # tqdm takes no parameter when it runs
    """A bar that goes when the work is done; where there is no terminal, a line on stderr.

    Args:
        words: as for `tqdm`.
        every_seconds: from the beginning to the first line, and between two.
        settings: as for `tqdm`.
    """

    def __init__(self, *words: Any, every_seconds: float = 30, **settings: Any) -> None:
        self._every_seconds = every_seconds
        self._in_lines = not sys.stderr.isatty()
        self._told = time.monotonic()
        if self._in_lines:
            settings |= {"bar_format": _FORMAT, "miniters": 1, "file": sys.stderr}
        super().__init__(*words, leave=False, **settings)  # type: ignore[call-overload]

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Draw the bar, or print a line if the last is long ago."""
        if not self._in_lines:
            super().display(msg, pos)
            return
        now = time.monotonic()
        if msg != "" and self.n and now - self._told >= self._every_seconds:
            self._told = now
            print((msg or str(self)).strip(), file=sys.stderr, flush=True)
