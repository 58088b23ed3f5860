"""What a callback that wants to see finished ticks inherits from."""

from typing import TYPE_CHECKING

import pytorch_lightning as pl

if TYPE_CHECKING:
    from trompe.methods.method import Method
    from trompe.training.tick import TickRecord


class TickCallback(pl.Callback):
    """A Lightning callback with one hook more: at the end of a tick, with its record."""

    def on_tick_end(self, trainer: pl.Trainer, method: "Method", record: "TickRecord") -> None:
        """See the tick's record, which is written already; its checkpoint is saved after this.

        Called on every process.
        """
