"""The order in which a data set's images are shown: a function of the image count, not a state."""

import torch
from torch import Tensor

from trompe.engine.randomness import keyed_generator
from trompe.errors import UserError


class IndexStream:
    """The infinite stream of shuffled data indices.

    Each data epoch shows every image once, in an order of its own. The index at a position
    depends on (size, seed, position) alone, so any position can be read at any time.

    Args:
        size: number of images in the set.
        seed: the experiment's seed.

    Raises:
        UserError: if there are no images.
    """

    def __init__(self, size: int, seed: int) -> None:
        if size < 1:
            raise UserError(
                "there are no images to train on: give a larger data set or a smaller "
                "data.validation_fraction"
            )
        self.size = size
        self.seed = seed
        # A batch may cross one border, so the current and the next permutation are kept.
        self._permutations: dict[int, Tensor] = {}

    def indices(self, position: int, count: int) -> Tensor:
        """The indices at stream positions `position` to `position + count - 1`.

        Args:
            position: images shown before.
            count: images wanted; may cross any number of borders between data epochs.

        Returns:
            LongTensor (count,), values in [0, size).
        """
        parts = []
        end = position + count
        while position < end:
            epoch, offset = divmod(position, self.size)
            part = self._permutation(epoch)[offset : offset + end - position]
            parts.append(part)
            position += len(part)
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.long)

    def _permutation(self, epoch: int) -> Tensor:
        if epoch not in self._permutations:
            generator = keyed_generator(self.seed, "data order", epoch)
            self._permutations[epoch] = torch.randperm(self.size, generator=generator)
            while len(self._permutations) > 2:
                del self._permutations[next(iter(self._permutations))]
        return self._permutations[epoch]


def split(size: int, validation_fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Divide a data set's indices at random into training and validation images.

    Args:
        size: number of images.
        validation_fraction: share of the images kept for validation, in [0, 1); if it is not 0
            and there are at least 2 images, each part gets at least one.
        seed: of the division; not the experiment's, so that all experiments share the division.

    Returns:
        Sorted LongTensors of the training and of the validation indices.

    Raises:
        UserError: if the fraction is not in [0, 1).
    """
    if not 0 <= validation_fraction < 1:
        raise UserError(
            f"data.validation_fraction={validation_fraction} must be at least 0 and less than 1"
        )
    count = 0
    if validation_fraction > 0 and size > 1:
        count = min(max(1, round(size * validation_fraction)), size - 1)
    order = torch.randperm(size, generator=keyed_generator(seed, "validation split"))
    return order[count:].sort().values, order[:count].sort().values
