"""What a style generator can do that paints strokes: enlarge them, and keep frames together."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from trompe.losses import transport
from trompe.losses.transport import Gaussian
from trompe.networks.perceptual_network import MINIMUM_SIDE
from trompe.networks.tiling import Moments

# Ours: longer pictures are made smaller than that, or a panorama would take gigabytes.
_ASPECT = 2


class Statistics(NamedTuple):
    """What the network measures of a content, to give it a style.

    Args:
        gaussians: of its colors, and of its features at the layers of the network that sees it, for
            one picture.
        moments: of each layer that is normalized.
    """

    gaussians: list[Gaussian]
    moments: list[Moments]


class Paints(ABC):
    """A style generator whose strokes can be made small, and by the statistics of other contents.

    Its `forward` takes contents, a style's parameters, and `Statistics` or None.
    """

    @abstractmethod
    def measure(self, content: Tensor, parameters: Tensor) -> Statistics:
        """The statistics of one content (1, 3, H, W), as `forward` would take them."""

    @abstractmethod
    def render_enlarged(
        self, content: Tensor, parameters: Tensor, side: int, fixed: Statistics | None = None
    ) -> Tensor:
        """One image of any size, with strokes made where its shorter side has `side` pixels.

        Args:
            content: (1, 3, H, W) in [-1, 1].
            parameters: (1, P), of the style.
            side: pixels.
            fixed: as `forward` takes them; measured on contents of that size.
        """


def shrinkage(content: Tensor, side: int) -> float:
    """By how much `shrunk` makes images smaller; 1 or above: not at all."""
    height, width = content.shape[2:]
    scale: float = side * (_ASPECT / (height * width)) ** 0.5
    return min(side / min(height, width), scale)


def shrunk(content: Tensor, side: int) -> Tensor:
    """Images (N, 3, H, W) with at most `side` pixels on the shorter side, and 2 `side`^2 in all.

    Where they are made smaller, both sides become multiples of 8, and at least 16.
    """
    scale = shrinkage(content, side)
    if scale >= 1:
        return content
    sides = [max(MINIMUM_SIDE, round(scale * n / 8) * 8) for n in content.shape[2:]]
    return interpolate(content, sides, mode="bilinear", antialias=True)


def pooled(measured: Sequence[Statistics]) -> Statistics:
    """The statistics of several contents as if they were one picture."""
    levels = zip(*(one.gaussians for one in measured), strict=True)
    gaussians = [transport.pooled(level) for level in levels]
    moments = []
    for layers in zip(*(one.moments for one in measured), strict=True):
        means = torch.stack([layer.mean for layer in layers])
        squares = torch.stack([layer.variance + layer.mean.square() for layer in layers])
        moments.append(
            Moments(means.mean(0), (squares.mean(0) - means.mean(0).square()).clamp_min(0))
        )
    return Statistics(gaussians, moments)
