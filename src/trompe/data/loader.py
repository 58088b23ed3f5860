"""Batches of one tick, shared out over processes, for every kind of training data."""

from collections.abc import Iterator
from typing import Any, Protocol

import pytorch_lightning as pl
from torch import Tensor

from trompe.engine.clock import Clock
from trompe.engine.share import Share
from trompe.errors import UserError


class BatchStream(Protocol):
    """Global batches of one size, each a function of (data, seed, images seen before)."""

    def batch(self, position: int, rows: slice | Tensor) -> Any:
        """Those rows, a named tuple of tensors, of the batch that begins at `position`."""


class TrainingData(pl.LightningDataModule):
    """Base of all data that a method trains on; a subclass says in `stream` what a batch holds.

    Attributes:
        batch_type: the named tuple of tensors that a batch is.
        credits: whose pictures they are and under which license, where it asks for it to be said.
        decides: values of the model's config that these data decide, by name; known after `setup`.
    """

    batch_type: type
    credits: str = ""

    @property
    def decides(self) -> dict[str, Any]:
        """See above."""
        return {}

    def stream(self, seed: int, batch_size: int) -> BatchStream:
        """The training batches of an experiment with this seed.

        Raises:
            UserError: if there is nothing to train on.
        """
        raise NotImplementedError

    def setup(self, stage: str | None = None) -> None:
        """Get ready to be streamed; the second time it does nothing."""

    def split_size(self, split: str) -> int:
        """Number of images in ``"train"`` or ``"validation"``, for metrics.

        Raises:
            UserError: if the data have no splits.
        """
        raise UserError(
            f"{type(self).__name__} has no images to measure others against: set metrics=[]"
        )

    @property
    def fingerprint(self) -> str:
        """Hash of everything that a batch depends on besides the seed and the image count."""
        raise NotImplementedError

    def show(self, count: int) -> Tensor | None:
        """Images uint8 (at most `count`, C, H, W) to look at beside those made from them.

        None if there is nothing to show.
        """
        return None

    def prepare_data(self) -> None:
        """Decode into the cache what is missing; Lightning calls this in one process only.

        Raises:
            UserError: see `trompe.data.cache.decode`.
        """
        self.setup("fit")

    def train_dataloader(self) -> "TickLoader":
        """This process's batches of one tick; the clock and the seed are the method's."""
        assert self.trainer is not None
        method = self.trainer.lightning_module
        return TickLoader(
            self,
            method.clock,  # type: ignore[arg-type]
            method.seed,  # type: ignore[arg-type]
            method.share,  # type: ignore[arg-type]
            pin_memory=self.trainer.strategy.root_device.type == "cuda",
        )


class TickLoader:
    """This process's share of each global batch of one tick, from the clock's image count on.

    What a batch holds, crops and mirroring included, depends on (data, seed, image count) alone;
    over the processes, in order of rank, the shares make up the batch that one process would get.

    Args:
        data: its training split is used.
        clock: its image count is read when an iteration begins, and is not changed.
        seed: the experiment's seed.
        share: this process's share of the batch.
        pin_memory: put batches in pinned memory, so that the host need not wait for the copy.

    Raises:
        UserError: if the global batch cannot be shared equally, or there are no images.
    """

    def __init__(
        self,
        data: TrainingData,
        clock: Clock,
        seed: int,
        share: Share | None = None,
        pin_memory: bool = False,
    ) -> None:
        self.clock = clock
        self._rows = (share or Share()).rows(clock.batch_size)
        self.stream = data.stream(seed, clock.batch_size)
        self._pin_memory = pin_memory

    def __len__(self) -> int:
        """Batches in a tick."""
        return self.clock.batches_per_tick

    def __iter__(self) -> Iterator[Any]:
        """The batches of one tick, from where the clock stands now."""
        return self._batches(self.clock.images)

    def _batches(self, start: int) -> Iterator[Any]:
        size = self.clock.batch_size
        for position in range(start, start + len(self) * size, size):
            batch = self.stream.batch(position, self._rows)
            yield type(batch)(*(part.pin_memory() for part in batch)) if self._pin_memory else batch
