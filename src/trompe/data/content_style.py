"""The data of style transfer: a set of content images, and a set of style images."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from trompe.data.color_changes import change_colors, draw_color_changes
from trompe.data.crop_stream import CropStream
from trompe.data.crops import check_crop_min, check_resolutions, draw_crops
from trompe.data.image_data import Batch, show
from trompe.data.loader import TrainingData
from trompe.data.picture_set import Pictures, WholeSquares
from trompe.engine.randomness import keyed_generator
from trompe.errors import Count, UserError


class StyleBatch(NamedTuple):
    """Content and style images, uint8 (n, 3, R, R) in [0, 255], paired at random.

    `style_index`, int64 (n,), numbers the style pictures: crops of one picture share a number.
    """

    content: Tensor
    style: Tensor
    style_index: Tensor


class ContentStyleData(TrainingData):
    """Pairs of random crops, the content from one set of pictures and the style from another.

    Each set is a folder, a zip archive, a picture, a source, or a list of such. Pictures are
    decoded once, to squares of `source_resolution`; crops of these are resized to `resolution`.
    Images by index are whole squares of the *style* set, so this is
    the reference for a distance to the style images.

    Works without a Trainer too: `setup` is called if it has not been.

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
        style_repeats: how many times the style pictures of a class are shown where others are
            shown once, by its name; for a class that is small.
        recolored: share of the styles whose colors are changed, in [0, 1].
        channels: 3; models refer to it.
        common: see `ImageData`.

    Raises:
        UserError: if an argument is invalid.
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
        style_repeats: Mapping[str, Count] | None = None,
        recolored: float = 0.0,
        channels: int = 3,
        **common: Any,
    ) -> None:
        super().__init__()
        if channels != 3:
            raise UserError(f"data.channels={channels}: style transfer needs 3 (RGB)")
        check_resolutions(resolution, source_resolution)
        check_crop_min(crop_min)
        # Neither set is mirrored itself: crops are.
        both = {**common, "resolution": source_resolution, "channels": channels, "flip": False}
        self.content = Pictures(content, "data.content", content_squares, **both)
        self.style = Pictures(style, "data.style", style_squares, **both)
        self._contents = WholeSquares(self.content, resolution)
        self._styles = WholeSquares(self.style, resolution)
        self.resolution = resolution
        self.crop_min = crop_min
        self.flip = flip
        self.style_repeats = dict(style_repeats or {})
        if not 0 <= recolored <= 1:
            raise UserError(f"data.recolored={recolored} must be between 0 and 1")
        self.recolored = recolored

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
        return self._styles.gather(split, indices)

    def show(self, count: int) -> Tensor:
        """Training styles in a fixed order."""
        return show(self, count)

    def contents(self, split: str, n: int) -> Tensor:
        """The first n content images of a split, uint8 (n, 3, R, R), repeated if fewer.

        Raises:
            UserError: if there is no such split, or it is empty.
        """
        return self._contents.first(split, n)

    def styles(self, split: str, n: int) -> Tensor:
        """The same of the style images.

        Raises:
            UserError: if there is no such split, or it is empty.
        """
        return self._styles.first(split, n)

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
        self.seed, self.batch_size = seed, batch_size

        def stream(
            pictures: Pictures, name: str, repeats: Mapping[str, int] | None = None
        ) -> CropStream:
            side = pictures.decoding.resolution

            def draw(count: int, generator: torch.Generator) -> Tensor:
                return draw_crops(count, side, data.crop_min, generator)

            side_out, flip = data.resolution, data.flip
            return CropStream(pictures, name, seed, batch_size, draw, side_out, flip, repeats)

        self._content = stream(data.content, "content")
        self._style = stream(data.style, "style", data.style_repeats)

    def batch(self, position: int, rows: slice | Tensor) -> StyleBatch:
        """Those rows of the global batch that begins at `position`."""
        style = self._style.crops(position, rows)
        if self.data.recolored:
            generator = keyed_generator(self.seed, "style colors", position)
            matrices = draw_color_changes(self.batch_size, self.data.recolored, generator)
            style = change_colors(style, matrices[rows])
        return StyleBatch(
            self._content.crops(position, rows),
            style,
            self.data.style.picture_numbers("train", self._style.indices(position, rows)),
        )
