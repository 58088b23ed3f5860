"""The data of unpaired translation: images of two kinds, none of which belong together."""

import hashlib
import json
from typing import Any, NamedTuple

import torch
from torch import Tensor

from trompe.data.crop_stream import CropStream
from trompe.data.crops import check_resolutions, draw_windows
from trompe.data.image_data import Batch, show
from trompe.data.loader import TrainingData
from trompe.data.picture_set import Pictures, WholeSquares


class UnpairedBatch(NamedTuple):
    """Images of two kinds, uint8 (n, C, R, R) in [0, 255].

    Drawn independently, row by row; or counterparts, where `UnpairedData.pairs` says so.
    """

    a: Tensor
    b: Tensor


class UnpairedData(TrainingData):
    """Random crops from two sets of pictures, each shuffled on its own.

    Zhu et al. 2017, https://arxiv.org/abs/1703.10593, whose code decodes pictures to squares of
    286 pixels, cuts a random one of 256 from each without resizing it, and mirrors at random.

    Each set is a folder, a zip archive, a picture, a source, or a list of such. Images by
    index are whole squares at `resolution`: of side b, the target of the
    direction from a to b, if this object is asked; of either side, if `a` or `b` is.

    Works without a Trainer too: `setup` is called if it has not been.

    Args:
        a: pictures of the first kind, or `Pictures` at `source_resolution`, to be used as they are.
        b: the same of the second kind.
        resolution: side of the images in a batch, pixels.
        source_resolution: side of the squares that crops are cut from, pixels.
        flip: whether crops are mirrored left to right, each with probability 1/2.
        a_squares: squares cut from each picture of a, along its longer side.
        b_squares: the same of b.
        common: see `trompe.data.image_data.ImageData`; `validation_fraction` and `split_seed` hold
            for each set.

    Attributes:
        a: the images of the first kind by index, a reference for distances.
        b: the same of the second kind.
        has_counterparts: whether the validation images of both sides show the same things.

    Raises:
        UserError: if an argument is invalid.
    """

    batch_type: type = UnpairedBatch
    has_counterparts: bool = False

    def __init__(
        self,
        a: Any,
        b: Any,
        resolution: int,
        source_resolution: int,
        flip: bool,
        a_squares: int = 1,
        b_squares: int = 1,
        **common: Any,
    ) -> None:
        super().__init__()
        check_resolutions(resolution, source_resolution)

        def side(pictures: Any, key: str, squares: int) -> WholeSquares:
            if not isinstance(pictures, Pictures):
                # The set is not mirrored itself: crops are.
                settings = {**common, "resolution": source_resolution, "flip": False}
                pictures = Pictures(pictures, key, squares, **settings)
            return WholeSquares(pictures, resolution)

        self.a = side(a, "data.a", a_squares)
        self.b = side(b, "data.b", b_squares)
        self.resolution = resolution
        self.flip = flip

    def setup(self, stage: str | None = None) -> None:
        """Decode both sets, or open their caches. Does nothing the second time.

        Raises:
            UserError: see `trompe.data.cache.decode`.
        """
        self.a.pictures.setup(stage)
        self.b.pictures.setup(stage)

    @property
    def fingerprint(self) -> str:
        """Hash of both sides' content, how they were decoded and resized, and their division."""
        parts = [self.a.fingerprint, self.b.fingerprint]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

    @property
    def class_names(self) -> list[str]:
        """A name for each label of side b."""
        return self.b.class_names

    def split_size(self, split: str) -> int:
        """Number of images of side b in ``"train"`` or ``"validation"``.

        Raises:
            UserError: if there is no such split.
        """
        return self.b.split_size(split)

    def gather(self, split: str, indices: Tensor) -> Batch:
        """The images of side b at `indices` (n,), long: whole squares, resized to `resolution`.

        Raises:
            UserError: if there is no such split.
        """
        return self.b.gather(split, indices)

    def pairs(self, split: str, count: int) -> UnpairedBatch:
        """The first `count` images of each side of a split, repeated if fewer.

        Where the data have counterparts, the rows of ``"validation"`` correspond, pixel by pixel.

        Raises:
            UserError: if there is no such split, or a side of it is empty.
        """
        return UnpairedBatch(self.a.first(split, count), self.b.first(split, count))

    def show(self, count: int) -> Tensor:
        """Training images of both kinds in turn, in a fixed order."""
        each = -(-count // 2)
        return torch.stack([show(self.a, each), show(self.b, each)], 1).flatten(0, 1)[:count]

    def stream(self, seed: int, batch_size: int) -> "UnpairedStream":
        """Training batches of random crops."""
        return UnpairedStream(self, seed, batch_size)


class UnpairedStream:
    """Batches of random crops of both sides.

    Args:
        data: both sides.
        seed: the experiment's seed.
        batch_size: images of each side in a *global* batch.

    Raises:
        UserError: if a side is empty.
    """

    def __init__(self, data: UnpairedData, seed: int, batch_size: int) -> None:
        def stream(images: WholeSquares, name: str) -> CropStream:
            pictures, window = images.pictures, data.resolution
            side = pictures.decoding.resolution

            def draw(count: int, generator: torch.Generator) -> Tensor:
                return draw_windows(count, side, window, generator)

            return CropStream(pictures, name, seed, batch_size, draw, window, data.flip)

        self._a = stream(data.a, "unpaired a")
        self._b = stream(data.b, "unpaired b")

    def batch(self, position: int, rows: slice | Tensor) -> UnpairedBatch:
        """Those rows of the global batch that begins at `position`."""
        return UnpairedBatch(self._a.crops(position, rows), self._b.crops(position, rows))
