"""The datamodule of all image sets: decoded once, split by a seed, streamed by the image count."""

import hashlib
import json
from typing import Any, NamedTuple

import torch
from torch import Tensor

from trompe.data.cache import DecodedSet, decode
from trompe.data.checks import check_source
from trompe.data.decoding import Decoding
from trompe.data.limits import MAX_PIXELS, Limits
from trompe.data.loader import TrainingData
from trompe.data.source import Source, tell
from trompe.data.stream import IndexStream, split
from trompe.engine.randomness import keyed_generator
from trompe.errors import UserError
from trompe.parts import check_settings


class Batch(NamedTuple):
    """Images uint8 (n, C, H, W) in [0, 255] and their labels, int64 (n,)."""

    images: Tensor
    labels: Tensor


class ImageData(TrainingData):
    """Base of all image sets; a subclass says in `open_source` where the images come from.

    Works without a Trainer too: `setup` is all that is needed, and is called if it has not been.

    Args:
        resolution: side of the images in pixels; they are cropped to their center square.
        channels: 1 (gray) or 3 (RGB).
        cache_dir: folder for the decoded images, ``~`` is the home folder.
        resize_filter: name of Pillow's filter.
        validation_fraction: share of the images that is never trained on, in [0, 1).
        split_seed: the choice of those images depends on it; not the experiment's seed, so that
            experiments are measured on the same images.
        flip: whether training images are mirrored left to right, each with probability 1/2.
        memory_limit_mb: sets of fewer MiB are read into memory, others are mapped from the cache.
        on_corrupt: ``"error"``, or ``"skip"`` to leave out images that cannot be decoded.
        allow_upscale: whether images may be smaller than `resolution`.
        max_pixels: of a picture in a file; larger ones are not decoded.

    Raises:
        UserError: if an argument is invalid.
    """

    batch_type: type = Batch

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
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        super().__init__()
        # As a part of other data they have not been checked.
        settings = {"validation_fraction": validation_fraction, "memory_limit_mb": memory_limit_mb}
        check_settings(settings | {"split_seed": split_seed, "flip": flip}, "data", ImageData)
        self.limits = Limits(max_pixels)
        self.decoding = Decoding(
            resolution, channels, resize_filter, on_corrupt, allow_upscale, max_pixels=max_pixels
        )
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
            UserError: if they are missing.
        """
        raise NotImplementedError

    def setup(self, stage: str | None = None) -> None:
        """Open the cache and divide the images. Does nothing the second time.

        Raises:
            UserError: see `trompe.data.cache.decode`.
        """
        if self._decoded is not None:
            return
        source = check_source(self.open_source(), self)
        tell(source.notes)
        decoded = decode(source, self.decoding, self.cache_dir, self.memory_limit_mb)
        train, validation = self.divide(len(decoded.images))
        self._indices = {"train": train, "validation": validation}
        self._decoded = decoded

    def divide(self, size: int) -> tuple[Tensor, Tensor]:
        """Indices of the training and of the validation images among `size` decoded ones."""
        return split(size, self.validation_fraction, self.split_seed)

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

    def labels(self, split: str) -> Tensor:
        """The labels (n,), long, of all images of a split.

        Raises:
            UserError: if there is no such split.
        """
        return self.decoded.labels[self._split(split)]

    def gather(self, split: str, indices: Tensor) -> Batch:
        """The images at `indices` (n,), long, of ``"train"`` or ``"validation"``; never mirrored.

        Raises:
            UserError: if there is no such split.
        """
        chosen = self._split(split)[indices]
        # NumPy copies rows directly; torch would wake its threads for it, which takes 5 to 1000
        # times as long for a batch, the longest when the cores are busy.
        images = torch.from_numpy(self.decoded.images.numpy()[chosen.numpy()])
        return Batch(images, self.decoded.labels[chosen])

    def show(self, count: int) -> Tensor:
        """Training images in a fixed order."""
        return show(self, count)

    def stream(self, seed: int, batch_size: int) -> "ImageStream":
        """Shuffled training batches."""
        return ImageStream(self, seed, batch_size)

    def _split(self, name: str) -> Tensor:
        self.setup()
        if name not in self._indices:
            raise UserError(f"split={name} is neither train nor validation")
        return self._indices[name]


def show(data: Any, count: int) -> Tensor:
    """The first `count` training images, uint8, in a fixed order."""
    batch: Batch = data.gather("train", _shown_order(data.split_size("train"))[:count])
    return batch.images


def show_classes(data: Any, rows: int, columns: int) -> Tensor:
    """A row of `columns` training images of each of the first `rows` classes, as `show`.

    A class with fewer of them repeats them; one with none is black.
    """
    labels = data.labels("train")
    order = _shown_order(len(labels))
    shown = []
    for label in range(rows):
        found = order[labels[order] == label]
        chosen = found.repeat(columns)[:columns] if len(found) else order[:columns]
        shown.append(data.gather("train", chosen).images * bool(len(found)))
    return torch.cat(shown)


def _shown_order(count: int) -> Tensor:
    return torch.randperm(count, generator=keyed_generator(0, "real grid"))


class ImageStream:
    """Shuffled batches of a set's training images, some of them mirrored.

    Args:
        data: the images; its `flip` says whether some are mirrored.
        seed: the experiment's seed.
        batch_size: images in a *global* batch.

    Raises:
        UserError: if there are no images.
    """

    def __init__(self, data: ImageData, seed: int, batch_size: int) -> None:
        self.data = data
        self.seed = seed
        self.batch_size = batch_size
        self._order = IndexStream(data.split_size("train"), seed)

    def batch(self, position: int, rows: slice | Tensor) -> Batch:
        """Those rows of the global batch that begins at `position`."""
        batch = self.data.gather("train", self._order.indices(position, self.batch_size)[rows])
        if self.data.flip:
            generator = keyed_generator(self.seed, "flip", position)
            draws = torch.rand(self.batch_size, generator=generator)
            mirror(batch.images, draws[rows] < 0.5)
        return batch


def mirror(images: Tensor, chosen: Tensor) -> None:
    """Mirror the chosen (n,), bool, of images (n, C, H, W) left to right, in place."""
    pixels, rows = images.numpy(), chosen.numpy()
    pixels[rows] = pixels[rows][..., ::-1]
