"""Base class for callbacks that see finished ticks."""

from typing import TYPE_CHECKING

import pytorch_lightning as pl

if TYPE_CHECKING:
    from trompe.methods.method import Method
    from trompe.training.tick import TickRecord


class TickCallback(pl.Callback):
    """A Lightning callback with one more hook: at the end of a tick, with its record."""

    def on_tick_end(self, trainer: pl.Trainer, method: "Method", record: "TickRecord") -> None:
        """See the tick's record, already written; its checkpoint is saved afterwards.

        Called on every process.
        """
