"""A pool of earlier images for the discriminator: Shrivastava et al. 2017, sec. 2.3.

As in CycleGAN (Zhu et al. 2017, sec. 4): until it is full, every image is kept and returned; after
that it is, with probability 1/2 each, either returned, or put in the place of a random one that is
returned instead.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trompe.engine.randomness import Draws
from trompe.errors import check_count


class ImagePool(nn.Module):
    """Holds images of the whole global batch on every process, in the order of their number.

    So it is the same with any number of processes, and one checkpoint holds all of it.

    Args:
        size: images in the pool; 0 returns every image as it is.
        shape: of one image, (C, H, W).

    Raises:
        UserError: if the size is below 0.
    """

    images: Tensor
    count: Tensor

    def __init__(self, size: int, shape: Sequence[int]) -> None:
        super().__init__()
        check_count("model.pool_size", size, 0)
        self.size = size
        self.register_buffer("images", torch.zeros(size, *shape))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def exchange(self, images: Tensor, draws: Draws, purpose: str) -> Tensor:
        """Images (n, C, H, W) for the discriminator, in place of this process's new ones.

        Collective. Nothing waits for the host.

        Args:
            images: new ones, those of this process.
            draws: of this batch.
            purpose: names the draw.
        """
        if self.size == 0:
            return images
        share = draws.share
        uniform = share.gather(draws.uniform(purpose, 2))
        new = share.gather(images.detach().to(self.images.dtype))
        returned = [self._one(image, *pair) for image, pair in zip(new, uniform, strict=True)]
        mine = slice(share.rank * len(images), (share.rank + 1) * len(images))
        return torch.stack(returned[mine]).to(images.dtype)

    def _one(self, image: Tensor, coin: Tensor, place: Tensor) -> Tensor:
        fills = self.count < self.size
        chosen = torch.where(fills, self.count, (place * self.size).long()).clamp_(
            max=self.size - 1
        )
        index = chosen[None]
        old = self.images.index_select(0, index)[0]
        stays = ~fills & (coin >= 0.5)
        self.images.index_copy_(0, index, torch.where(stays, old, image)[None])
        self.count += fills
        return torch.where(fills | stays, image, old)
