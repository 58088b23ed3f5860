"""Ctrl-C and SIGTERM end a run at once; it goes on from its last tick."""

import signal
from types import FrameType
from typing import Any

import pytorch_lightning as pl


def interrupt(signum: int, frame: FrameType | None) -> None:
    """Signal handler: ends the run as Ctrl-C does."""
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
