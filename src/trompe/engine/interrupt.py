"""Ctrl-C and SIGTERM end a run at once; it resumes from its last tick."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 128 + signal.SIGINT  # the exit code

_is_ending = False
_held: list[int] | None = None  # the signals that arrived inside `hold_signals`


def interrupt(signum: int, frame: FrameType | None) -> None:
    """Signal handler: ends the run as Ctrl-C does, or after `hold_signals`."""
    if _held is not None:
        _held.append(signum)
    elif not _is_ending:
        raise KeyboardInterrupt


@contextmanager
def hold_signals() -> Iterator[None]:
    """Let a short piece of work finish first: a signal that arrives inside takes effect at its end.

    Writing a checkpoint needs it: torch's zip writer turns a `KeyboardInterrupt` in the middle
    into a `RuntimeError`, which reads like a full disk.
    """
    global _held
    _held = []
    try:
        yield
    finally:
        came, _held = _held, None
    if came:
        raise KeyboardInterrupt


def catch_signals() -> None:
    """Let SIGINT and SIGTERM raise `KeyboardInterrupt` in the main thread.

    Lightning's own handler of SIGTERM waits for the end of the batch and, with several processes,
    broadcasts from within the handler, which can hang in the middle of another collective.
    """
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)


def ignore_signals() -> None:
    """Let nothing disturb the end of a run, which is short, once it has begun."""
    global _is_ending
    _is_ending = True


def after_the_run() -> None:
    """A run has ended: signals act as they do in any program."""
    global _is_ending
    _is_ending = False
    signal.signal(signal.SIGINT, signal.default_int_handler)
