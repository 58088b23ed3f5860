"""Random crops of one set, in an order of its own, as a function of (seed, images seen)."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from trompe.data.crops import cut
from trompe.data.image_data import ImageData, mirror
from trompe.data.stream import IndexStream
from trompe.engine.randomness import keyed_generator, keyed_seed
from trompe.errors import UserError

# Draws the places (count, 3) of crops: top, left and side, pixels; see `trompe.data.crops`.
DrawCrops = Callable[[int, torch.Generator], Tensor]


class CropStream:
    """Crops of a set's training images, some of them mirrored; each set is shuffled on its own.

    Args:
        images: the set; crops are cut from its whole images.
        name: of the set among those of the batch: no two sets draw the same numbers.
        seed: the experiment's seed.
        batch_size: crops in a *global* batch.
        draw: draws the places of crops.
        resolution: side of the crops once they are resized, pixels.
        flip: whether crops are mirrored left to right, each with probability 1/2.
        repeats: how many times each class's images are shown in a data epoch; others once.

    Raises:
        UserError: if the set is empty, or has no such class.
    """

    def __init__(
        self,
        images: ImageData,
        name: str,
        seed: int,
        batch_size: int,
        draw: DrawCrops,
        resolution: int,
        flip: bool,
        repeats: Mapping[str, int] | None = None,
    ) -> None:
        self.images = images
        self.name = name
        self.seed = seed
        self.batch_size = batch_size
        self.draw = draw
        self.resolution = resolution
        self.flip = flip
        # A seed of its own, or sets of equal size would always show the same pairs.
        self._shown = self._show(repeats or {})
        self._order = IndexStream(len(self._shown), keyed_seed(seed, f"{name} order"))

    def indices(self, position: int, rows: slice | Tensor) -> Tensor:
        """Indices (n,) of the training images that the crops at `position` are cut from."""
        return self._shown[self._order.indices(position, self.batch_size)[rows]]

    def crops(self, position: int, rows: slice | Tensor) -> Tensor:
        """Those rows of the global batch at `position`: uint8 (n, C, R, R).

        Drawn for the whole batch.
        """
        generator = keyed_generator(self.seed, f"{self.name} crop", position)
        places = self.draw(self.batch_size, generator)[rows]
        mirrored = torch.rand(self.batch_size, generator=generator)[rows] < 0.5
        whole = self.images.gather("train", self.indices(position, rows)).images
        images = cut(whole, places, self.resolution)
        if self.flip:
            mirror(images, mirrored)
        return images

    def _show(self, repeats: Mapping[str, int]) -> Tensor:
        """Indices of the images of a data epoch, sorted."""
        names = self.images.class_names
        unknown = sorted(set(repeats) - set(names))
        if unknown:
            raise UserError(
                f"data.{self.name}_repeats: there is no class {unknown[0]}; "
                f"choose from {', '.join(names)}"
            )
        size = self.images.split_size("train")
        if not repeats:
            return torch.arange(size)
        times = torch.tensor([repeats.get(name, 1) for name in names])
        labels = self.images.labels("train")
        return torch.arange(size).repeat_interleave(times[labels])
