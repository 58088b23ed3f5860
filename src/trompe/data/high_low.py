"""The data of super-resolution: crops of pictures, and the same with fewer pixels."""

import hashlib
import json
from typing import Any, NamedTuple

import torch
from torch import Tensor

from trompe.data.crop_stream import CropStream
from trompe.data.crops import check_resolutions, draw_windows
from trompe.data.degradations import Downsampling
from trompe.data.loader import TrainingData
from trompe.data.picture_set import Pictures, WholeSquares
from trompe.errors import UserError
from trompe.images import enlarged, to_levels


class HighLow(NamedTuple):
    """Images uint8 (n, C, R, R), and the same with fewer pixels, (n, C, R / factor, R / factor)."""

    high: Tensor
    low: Tensor


class HighLowData(TrainingData):
    """Random crops of pictures, each with a small copy of it.

    A small copy is made from the crop alone, by the degradation, and rounded to whole levels, as a
    file would hold it.

    Args:
        pictures: see `trompe.data.photographs.open_pictures`.
        degradation: makes small ones.
        resolution: side of the crops, pixels.
        source_resolution: side of the squares that they are cut from, pixels.
        squares: squares cut from each picture, along its longer side.
        flip: whether crops are mirrored left to right, each with probability 1/2.
        common: see `trompe.data.image_data.ImageData`.

    Raises:
        UserError: if the factor does not divide the sides.
    """

    batch_type: type = HighLow

    def __init__(
        self,
        pictures: Any,
        degradation: Downsampling,
        resolution: int,
        source_resolution: int,
        squares: int,
        flip: bool,
        **common: Any,
    ) -> None:
        super().__init__()
        check_resolutions(resolution, source_resolution)
        for key, side in (("resolution", resolution), ("source_resolution", source_resolution)):
            if side % degradation.factor:
                raise UserError(
                    f"data.{key}={side} must be divisible by data.degradation.factor="
                    f"{degradation.factor}"
                )
        settings = {**common, "resolution": source_resolution, "flip": False}
        self.pictures = Pictures(pictures, "data.pictures", squares, **settings)
        self.degradation = degradation
        self.resolution = resolution
        self.flip = flip
        self._whole = WholeSquares(self.pictures, source_resolution)

    def setup(self, stage: str | None = None) -> None:
        """Decode the pictures, or open their cache. Does nothing the second time.

        Raises:
            UserError: see `trompe.data.cache.decode`.
        """
        self.pictures.setup(stage)

    @property
    def fingerprint(self) -> str:
        """Hash of the pictures, how they were decoded and divided, and how small ones are made."""
        parts = [self.pictures.fingerprint, self.resolution, self.degradation.taps.tolist()]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

    def split_size(self, split: str) -> int:
        """Number of squares in ``"train"`` or ``"validation"``.

        Raises:
            UserError: if there is no such split.
        """
        return self.pictures.split_size(split)

    def small(self, high: Tensor) -> HighLow:
        """Images uint8 (n, C, R, R) with their small copies."""
        low = self.degradation.observe(high.float() / 255)
        return HighLow(high, to_levels(low))

    def pairs(self, split: str, count: int) -> HighLow:
        """The first `count` whole squares of a split with their small copies, repeated if fewer.

        Raises:
            UserError: if there is no such split, or it is empty.
        """
        return self.small(self._whole.first(split, count))

    def show(self, count: int) -> Tensor:
        """Held-out squares in turn with bicubic enlargements of their small copies."""
        high, low = self.pairs("validation", max(1, -(-count // 2)))
        plain = to_levels(enlarged(low.float() / 255, self.degradation.factor))
        return torch.stack([plain, high], 1).flatten(0, 1)[:count]

    def stream(self, seed: int, batch_size: int) -> "HighLowStream":
        """Training batches of random crops."""
        return HighLowStream(self, seed, batch_size)


class HighLowStream:
    """Batches of random crops and their small copies.

    Args:
        data: the pictures.
        seed: the experiment's seed.
        batch_size: crops in a *global* batch.

    Raises:
        UserError: if there are no pictures.
    """

    def __init__(self, data: HighLowData, seed: int, batch_size: int) -> None:
        side, window = data.pictures.decoding.resolution, data.resolution

        def draw(count: int, generator: torch.Generator) -> Tensor:
            return draw_windows(count, side, window, generator)

        self._data = data
        self._high = CropStream(data.pictures, "high", seed, batch_size, draw, window, data.flip)

    def batch(self, position: int, rows: slice | Tensor) -> HighLow:
        """Those rows of the global batch that begins at `position`."""
        return self._data.small(self._high.crops(position, rows))
