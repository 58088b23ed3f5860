"""Ctrl-C and SIGTERM end a run at once; it resumes from its last tick."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytorch_lightning as pl

_held: list[int] | None = None  # the signals that arrived inside `hold_signals`


def interrupt(signum: int, frame: FrameType | None) -> None:
    """Signal handler: ends the run as Ctrl-C does, or after `hold_signals`."""
    if _held is None:
        raise KeyboardInterrupt
    _held.append(signum)


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
    """Let SIGINT and SIGTERM raise `KeyboardInterrupt` in the main thread."""
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)


class CatchSignals(pl.Callback):
    """Installs `catch_signals` over Lightning's own handlers.

    Lightning's SIGTERM handler waits for the end of the batch and, with several processes,
    broadcasts from within the handler, which can hang in the middle of another collective.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning has installed its handlers by now."""
        catch_signals()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Pass the end on to the processes that this one started."""
        launcher: Any = trainer.strategy.launcher
        if isinstance(exception, KeyboardInterrupt) and launcher is not None:
            launcher.kill(signal.SIGTERM)
