"""The network of super-resolution: Johnson et al. 2016, supplement, Table 2."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from trompe.errors import Count, UserError
from trompe.images import enlarged


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions around a ReLU, added to what comes in.

    As Gross and Wilber 2016 have it, without a ReLU after the sum.

    Args:
        width: channels.
        norm: see `SuperResolver`.
    """

    def __init__(self, width: int, norm: str | None) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            *_norm(norm, width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            *_norm(norm, width),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, width, H, W) to the same."""
        made: Tensor = features + self.layers(features)
        return made


class SuperResolver(nn.Module):
    """Small images to large ones: all but the last layers work on few pixels.

    In the paper's words c9s1-64, R64 five times, then u64 for each doubling, c9s1-3 and a tanh.

    Args:
        factor: times more pixels along each side: 2, 4, 8 ...
        channels: of the images.
        width: channels of the layers.
        blocks: residual blocks.
        upsampling: ``"transposed"`` convolutions, as in the paper; or ``"resize"``, repeating
            pixels before a convolution, which leaves no checkerboard (Odena et al. 2016,
            https://distill.pub/2016/deconv-checkerboard).
        norm: ``"batch"``, as in the paper; or None, which restores better (Lim et al. 2017, EDSR,
            https://arxiv.org/abs/1707.02921, sec. 3.1).
        skip: whether the layers make only what bicubic enlargement lacks (Kim et al. 2016, VDSR,
            https://arxiv.org/abs/1511.04587, sec. 3.2), instead of all of it with a tanh.

    Attributes:
        halo: pixels of the small image that a pixel depends on, to each side.

    Raises:
        UserError: if the factor is no power of 2.
    """

    def __init__(
        self,
        factor: Count,
        channels: Count,
        width: Count,
        blocks: int,
        upsampling: Literal["transposed", "resize"],
        norm: Literal["batch"] | None,
        skip: bool,
    ) -> None:
        super().__init__()
        if factor < 2 or factor & (factor - 1):
            raise UserError(f"data.degradation.factor={factor}: this network takes 2, 4, 8 ...")
        self.factor = factor
        self.skip = skip
        doublings = int(math.log2(factor))
        self.halo = 4 + 2 * blocks + doublings + 4
        layers: list[nn.Module] = [
            nn.Conv2d(channels, width, 9, padding=4),
            *_norm(norm, width),
            nn.ReLU(),
            *(ResidualBlock(width, norm) for _ in range(blocks)),
        ]
        for _ in range(doublings):
            if upsampling == "transposed":
                layers.append(nn.ConvTranspose2d(width, width, 3, 2, 1, output_padding=1))
            else:
                layers += [nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1)]
            layers += [*_norm(norm, width), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.image = nn.Conv2d(width, channels, 9, padding=4)
        if skip:  # it begins as bicubic enlargement
            nn.init.zeros_(self.image.weight)
            nn.init.zeros_(self.image.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, factor H, factor W), in [-1, 1] but for a skip's overshoots."""
        made: Tensor = self.image(self.layers(images))
        if not self.skip:
            return made.tanh()
        return made.float() + enlarged(images, self.factor)


def _norm(kind: str | None, width: int) -> list[nn.Module]:
    return [] if kind is None else [nn.BatchNorm2d(width)]


@torch.no_grad()
def in_tiles(network: SuperResolver, images: Tensor, tile: int) -> Tensor:
    """The same as `network(images)` to rounding, in tiles of `tile` pixels of the small image."""
    factor, halo = network.factor, network.halo
    count, channels, height, width = images.shape
    made = images.new_empty(count, channels, factor * height, factor * width)
    for y in range(0, height, tile):
        for x in range(0, width, tile):
            top, left = max(0, y - halo), max(0, x - halo)
            bottom, right = min(y + tile, height), min(x + tile, width)
            part = images[..., top : bottom + halo, left : right + halo]
            own = network(part)[
                ...,
                factor * (y - top) : factor * (bottom - top),
                factor * (x - left) : factor * (right - left),
            ]
            made[..., factor * y : factor * bottom, factor * x : factor * right] = own
    return made
