"""The data of style transfer: a set of content images, and a set of style images."""

import hashlib
import json
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from trompe.data.crops import check_crop_min, cut, draw_crops, resize
from trompe.data.image_data import Batch, ImageData, mirror, show
from trompe.data.loader import TrainingData
from trompe.data.photographs import Squares, open_pictures
from trompe.data.source import Source
from trompe.data.stream import IndexStream, split
from trompe.engine.randomness import keyed_generator, keyed_seed
from trompe.errors import UserError


class StyleBatch(NamedTuple):
    """Content and style images, uint8 (n, 3, R, R) in [0, 255], paired at random.

    `style_index`, int64 (n,), numbers the style pictures: crops of one picture share a number.
    """

    content: Tensor
    style: Tensor
    style_index: Tensor


class Pictures(ImageData):
    """Pictures of any shape as square images, divided by picture.

    No picture has squares both in the training and in the validation split.

    Args:
        pictures: see `trompe.data.photographs.open_pictures`.
        key: what the config calls them, for error messages.
        squares: number of squares cut from each picture, along its longer side.
        common: see `ImageData`.

    Raises:
        UserError: if no square would be cut.
    """

    def __init__(self, pictures: Any, key: str, squares: int, **common: Any) -> None:
        super().__init__(**common)
        if squares < 1:
            raise UserError(f"{key}_squares={squares} must be at least 1")
        self.decoding = replace(self.decoding, resolution_key="data.source_resolution")
        self.pictures = pictures
        self.key = key
        self.squares = squares

    def open_source(self) -> Source:
        """List the pictures and their squares."""
        return Squares(open_pictures(self.pictures, self.key, self.cache_dir), self.squares)

    def divide(self, size: int) -> tuple[Tensor, Tensor]:
        """Indices of all squares of the training and of the validation pictures."""
        # A corrupt picture is left out with all its squares, so each still has as many.
        assert size % self.squares == 0
        parts = split(size // self.squares, self.validation_fraction, self.split_seed)
        inner = torch.arange(self.squares)
        train, validation = ((part[:, None] * self.squares + inner).flatten() for part in parts)
        return train, validation

    def picture_numbers(self, split: str, indices: Tensor) -> Tensor:
        """Of the squares at `indices` (n,) of a split, the numbers of their pictures (n,)."""
        return self._split(split)[indices] // self.squares

    def spread(self, split: str, count: int) -> Tensor:
        """Indices (count,) of a split: the middle square of each picture, then the others, again.

        Raises:
            UserError: if the split is empty.
        """
        size = self.split_size(split)
        if not size:
            raise UserError(
                f"{self.key} has no {split} pictures: give more than one, and a "
                "data.validation_fraction above 0"
            )
        order = torch.arange(size).view(-1, self.squares).t().flatten()
        return order.repeat(-(-count // size))[:count]


class ContentStyleData(TrainingData):
    """Pairs of random crops, the content from one set of pictures and the style from another.

    Each set is a folder, a zip archive, a picture, a source, or a list of such. Pictures are
    decoded once, to squares of `source_resolution`; crops of these are resized to `resolution`.
    Where images are asked for by index, they are whole squares of the *style* set, so that this is
    the reference for a distance to the style images.

    Works without a Trainer too: `setup` is called when it was not.

    Args:
        content: pictures whose content is kept.
        style: pictures whose style is taken.
        resolution: side of the images in a batch, pixels.
        source_resolution: side of the squares that crops are cut from, pixels.
        crop_min: smallest area of a crop, as a share of its square, in (0, 1].
        content_squares: squares cut from each content picture, along its longer side.
        style_squares: the same, of each style picture.
        validation_fraction: share of the pictures of each set that is never trained on, in [0, 1).
        flip: whether crops are mirrored left to right, each with probability 1/2.
        channels: 3; there for models to refer to.
        common: see `ImageData`.

    Raises:
        UserError: if one of them has no meaning.
    """

    batch_type: type = StyleBatch

    def __init__(
        self,
        content: Any,
        style: Any,
        resolution: int,
        source_resolution: int,
        crop_min: float,
        content_squares: int,
        style_squares: int,
        flip: bool,
        channels: int = 3,
        **common: Any,
    ) -> None:
        super().__init__()
        if channels != 3:
            raise UserError(f"data.channels={channels}: style transfer needs 3 (RGB)")
        if not 1 <= resolution <= source_resolution:
            raise UserError(
                f"data.resolution={resolution} must be at least 1 pixel and at most "
                f"data.source_resolution={source_resolution}"
            )
        check_crop_min(crop_min)
        # Neither set is mirrored itself: crops are.
        both = {**common, "resolution": source_resolution, "channels": channels, "flip": False}
        self.content = Pictures(content, "data.content", content_squares, **both)
        self.style = Pictures(style, "data.style", style_squares, **both)
        self.resolution = resolution
        self.crop_min = crop_min
        self.flip = flip

    def setup(self, stage: str | None = None) -> None:
        """Decode both sets, or open their caches. Does nothing the second time.

        Raises:
            UserError: see `trompe.data.cache.decode`.
        """
        self.content.setup(stage)
        self.style.setup(stage)

    @property
    def fingerprint(self) -> str:
        """Hash of both sets' content, how they were decoded and resized, and their division."""
        parts = [self.content.fingerprint, self.style.fingerprint, self.resolution]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

    @property
    def class_names(self) -> list[str]:
        """A name for each label of the style set: its first level of folders, or its kinds."""
        return self.style.class_names

    def split_size(self, split: str) -> int:
        """Number of style images in ``"train"`` or ``"validation"``.

        Raises:
            UserError: if there is no such split.
        """
        return self.style.split_size(split)

    def gather(self, split: str, indices: Tensor) -> Batch:
        """The style images at `indices` (n,), long: whole squares, resized to `resolution`.

        Raises:
            UserError: if there is no such split.
        """
        images, labels = self.style.gather(split, indices)
        return Batch(resize(images, self.resolution), labels)

    def show(self, count: int) -> Tensor:
        """Training styles in an order that is always the same."""
        return show(self, count)

    def contents(self, split: str, n: int) -> Tensor:
        """The first n content images of a split, uint8 (n, 3, R, R), again from the start if fewer.

        Raises:
            UserError: if there is no such split, or it is empty.
        """
        images = self.content.gather(split, self.content.spread(split, n)).images
        return resize(images, self.resolution)

    def styles(self, split: str, n: int) -> Tensor:
        """The same of the style images.

        Raises:
            UserError: if there is no such split, or it is empty.
        """
        return self.gather(split, self.style.spread(split, n)).images

    def stream(self, seed: int, batch_size: int) -> "StyleStream":
        """Training batches of random pairs and crops."""
        return StyleStream(self, seed, batch_size)


class StyleStream:
    """Batches of random crops; each set is shuffled on its own.

    Args:
        data: both sets.
        seed: the experiment's seed.
        batch_size: pairs in a *global* batch.

    Raises:
        UserError: if one of the sets is empty.
    """

    def __init__(self, data: ContentStyleData, seed: int, batch_size: int) -> None:
        self.data = data
        self.seed = seed
        self.batch_size = batch_size
        sets = {"content": data.content, "style": data.style}
        # Seeds of their own, or sets of one size would always show the same pairs.
        self._orders = {
            name: IndexStream(pictures.split_size("train"), keyed_seed(seed, f"{name} order"))
            for name, pictures in sets.items()
        }

    def batch(self, position: int, rows: slice | Tensor) -> StyleBatch:
        """Those rows of the global batch that begins at `position`."""
        orders = {
            name: order.indices(position, self.batch_size)[rows]
            for name, order in self._orders.items()
        }
        return StyleBatch(
            self._crops("content", self.data.content, orders["content"], position, rows),
            self._crops("style", self.data.style, orders["style"], position, rows),
            self.data.style.picture_numbers("train", orders["style"]),
        )

    def _crops(
        self, name: str, pictures: Pictures, indices: Tensor, position: int, rows: slice | Tensor
    ) -> Tensor:
        """Crops of the squares at `indices`, drawn for the whole batch."""
        generator = keyed_generator(self.seed, f"{name} crop", position)
        side = pictures.decoding.resolution
        crops = draw_crops(self.batch_size, side, self.data.crop_min, generator)[rows]
        mirrored = torch.rand(self.batch_size, generator=generator)[rows] < 0.5
        images = cut(pictures.gather("train", indices).images, crops, self.data.resolution)
        if self.data.flip:
            mirror(images, mirrored)
        return images
