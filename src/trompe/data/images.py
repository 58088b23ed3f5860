"""The datamodule of all image sets: decoded once, split by a seed, streamed by the image count."""

import hashlib
import json
from collections.abc import Iterator
from typing import NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor

from trompe.data.cache import DecodedSet, Decoding, decode
from trompe.data.source import Source
from trompe.data.stream import IndexStream, split
from trompe.engine.clock import Clock
from trompe.engine.randomness import keyed_generator
from trompe.errors import UserError


class Batch(NamedTuple):
    """Images uint8 (n, C, H, W) in [0, 255] and their labels, int64 (n,)."""

    images: Tensor
    labels: Tensor


class ImageData(pl.LightningDataModule):
    """Base of all image sets; a subclass says in `open_source` where the images come from.

    Works without a Trainer too: `setup` is all that is needed, and is called when it was not.

    Args:
        resolution: side of the images in pixels; they are cropped to their centre square.
        channels: 1 (grey) or 3 (RGB).
        cache_dir: folder for the decoded images, ``~`` is the home folder.
        resize_filter: name of Pillow's filter.
        validation_fraction: share of the images that is never trained on, in [0, 1).
        split_seed: what the choice of those images depends on; not the experiment's seed, so that
            experiments are measured on the same images.
        flip: whether training images are mirrored left to right, each with probability 1/2.
        memory_limit_mb: sets of fewer MiB are read into memory, others are mapped from the cache.
        on_corrupt: ``"error"``, or ``"skip"`` to leave out images that cannot be decoded.
        allow_upscale: whether images may be smaller than `resolution`.

    Raises:
        UserError: if one of them has no meaning.
    """

    def __init__(
        self,
        resolution: int,
        channels: int,
        cache_dir: str,
        validation_fraction: float,
        split_seed: int,
        flip: bool,
        memory_limit_mb: int,
        resize_filter: str = "lanczos",
        on_corrupt: str = "error",
        allow_upscale: bool = False,
    ) -> None:
        super().__init__()
        self.decoding = Decoding(resolution, channels, resize_filter, on_corrupt, allow_upscale)
        split(0, validation_fraction, split_seed)  # refuses a wrong fraction now, not later
        self.cache_dir = cache_dir
        self.validation_fraction = validation_fraction
        self.split_seed = split_seed
        self.flip = flip
        self.memory_limit_mb = memory_limit_mb
        self._decoded: DecodedSet | None = None
        self._indices: dict[str, Tensor] = {}

    def open_source(self) -> Source:
        """The encoded images.

        Raises:
            UserError: if they are not there.
        """
        raise NotImplementedError

    def prepare_data(self) -> None:
        """Decode into the cache what is not there; Lightning calls this in one process only.

        Raises:
            UserError: see `trompe.data.cache.decode`.
        """
        self.setup()

    def setup(self, stage: str | None = None) -> None:
        """Open the cache and divide the images. Does nothing the second time.

        Raises:
            UserError: see `trompe.data.cache.decode`.
        """
        if self._decoded is not None:
            return
        decoded = decode(self.open_source(), self.decoding, self.cache_dir, self.memory_limit_mb)
        train, validation = split(len(decoded.images), self.validation_fraction, self.split_seed)
        self._indices = {"train": train, "validation": validation}
        self._decoded = decoded

    @property
    def decoded(self) -> DecodedSet:
        """All images, before they are divided."""
        self.setup()
        assert self._decoded is not None
        return self._decoded

    @property
    def fingerprint(self) -> str:
        """Hash of the images' content, how they were decoded, and how they are divided.

        With it, a split's name and indices name the same pixels everywhere and always.
        """
        parts = [self.decoded.fingerprint, self.validation_fraction, self.split_seed]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

    @property
    def class_names(self) -> list[str]:
        """A name for each label."""
        return self.decoded.class_names

    def split_size(self, split: str) -> int:
        """Number of images in ``"train"`` or ``"validation"``.

        Raises:
            UserError: if there is no such split.
        """
        return len(self._split(split))

    def gather(self, split: str, indices: Tensor) -> Batch:
        """The images at `indices` (n,), long, of ``"train"`` or ``"validation"``; never mirrored.

        Raises:
            UserError: if there is no such split.
        """
        chosen = self._split(split)[indices]
        # NumPy copies rows at once; torch would wake its threads for it, which costs 5 to 1000
        # times as long for a batch, the most when the cores are busy.
        images = torch.from_numpy(self.decoded.images.numpy()[chosen.numpy()])
        return Batch(images, self.decoded.labels[chosen])

    def train_dataloader(self) -> "TickLoader":
        """This process's batches of one tick; the clock and the seed are the method's."""
        assert self.trainer is not None
        method = self.trainer.lightning_module
        return TickLoader(
            self,
            method.clock,  # type: ignore[arg-type]
            method.seed,  # type: ignore[arg-type]
            self.trainer.global_rank,
            self.trainer.world_size,
            pin_memory=self.trainer.strategy.root_device.type == "cuda",
        )

    def _split(self, name: str) -> Tensor:
        self.setup()
        if name not in self._indices:
            raise UserError(f"split={name} is neither train nor validation")
        return self._indices[name]


class TickLoader:
    """This process's share of each global batch of one tick, from the clock's image count on.

    Which images a batch holds, and which are mirrored, depends on (data, seed, image count) alone;
    over the processes, in order of rank, the shares make up the batch that one process would get.

    Args:
        data: the images; its training split is used.
        clock: its image count is read when an iteration begins, and is not changed.
        seed: the experiment's seed.
        rank: number of this process.
        world_size: number of processes.
        pin_memory: put batches where a GPU can fetch them without the host waiting for it.

    Raises:
        UserError: if the global batch cannot be shared equally, or there are no images.
    """

    def __init__(
        self,
        data: ImageData,
        clock: Clock,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        pin_memory: bool = False,
    ) -> None:
        if clock.batch_size % world_size:
            raise UserError(
                f"batch_size={clock.batch_size} must be divisible by the {world_size} processes"
            )
        self.data = data
        self.clock = clock
        self.seed = seed
        self.stream = IndexStream(data.split_size("train"), seed)
        share = clock.batch_size // world_size
        self._share = slice(rank * share, (rank + 1) * share)
        self._pin_memory = pin_memory

    def __len__(self) -> int:
        """Batches in a tick."""
        return self.clock.batches_per_tick

    def __iter__(self) -> Iterator[Batch]:
        """The batches of one tick, from where the clock stands now."""
        return self._batches(self.clock.images)

    def _batches(self, start: int) -> Iterator[Batch]:
        size = self.clock.batch_size
        for position in range(start, start + len(self) * size, size):
            indices = self.stream.indices(position, size)[self._share]
            batch = self.data.gather("train", indices)
            if self.data.flip:
                self._mirror(batch.images, position)
            yield Batch(*(part.pin_memory() for part in batch)) if self._pin_memory else batch

    def _mirror(self, images: Tensor, position: int) -> None:
        """Mirror some images in place; drawn for the global batch that begins at `position`."""
        generator = keyed_generator(self.seed, "flip", position)
        draws = torch.rand(self.clock.batch_size, generator=generator)
        mirrored = (draws[self._share] < 0.5).numpy()
        pixels = images.numpy()
        pixels[mirrored] = pixels[mirrored][..., ::-1]
