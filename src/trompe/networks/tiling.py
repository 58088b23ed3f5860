"""A style transformer tile by tile, with the statistics of the whole picture: no seams.

Instance normalization needs every layer's mean and variance over the whole picture. They are
gathered in passes of their own, each of which recomputes the layers before: at full and half
resolution only tiles are ever in memory; the maps at a quarter of the resolution are kept whole.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate, relu

if TYPE_CHECKING:
    from trompe.networks.transformer import Layer, StyleTransformer

Map = Callable[[Tensor], Tensor]

# What a tile sees beyond its edges, in pixels: the three layers down, like the three back up, see
# 4 + 1 + 2 pixels around; a whole number of the coarsest pixels.
_HALO, _COARSEST = 8, 4


class Moments(NamedTuple):
    """Mean and variance (C,) of each channel over a picture."""

    mean: Tensor
    variance: Tensor


def moments_of(features: Tensor) -> Moments:
    """Of the features (1, C, H, W) of one picture."""
    variance, mean = torch.var_mean(features[0].float(), (1, 2), correction=0)
    return Moments(mean, variance)


class Tiled(ABC):
    """A style generator that can make a large picture tile by tile."""

    @abstractmethod
    def render_in_tiles(self, content: Tensor, parameters: Tensor, tile: int) -> Tensor:
        """What it makes of one content (1, 3, H, W), up to rounding; see `stylize_in_tiles`."""

    @abstractmethod
    def tile_memory(self, height: int, width: int, tile: int) -> int:
        """About how many bytes that takes."""


@torch.no_grad()
def stylize_in_tiles(
    network: "StyleTransformer", content: Tensor, parameters: Tensor, tile: int
) -> Tensor:
    """What `network` makes of one content (1, 3, H, W), up to rounding, in tiles.

    Args:
        network: the generator.
        content: an image in [-1, 1], sides multiples of 4.
        parameters: (1, P), of the style.
        tile: side of the tiles in pixels, rounded up to a multiple of 4.
    """
    tile = -(-tile // _COARSEST)
    content = content.contiguous()
    told = iter(parameters.split(network.sizes, 1))
    before: list[Map] = []
    *first, last = network.down
    for layer in first:
        before.append(_fixed(layer, next(told), _same, content, before, tile))
    coarse = _whole(content, [*before, last.convolution], tile)
    features = relu(last.normalize(coarse, next(told)))
    for block in network.blocks:
        features = features + block(features, next(told), next(told))
    after: list[Map] = []
    for layer in network.up:
        after.append(_fixed(layer, next(told), _enlarged, features, after, tile))
    return _whole(features, [*after, network.last, torch.tanh], tile)


def tile_memory(network: "StyleTransformer", height: int, width: int, tile: int) -> int:
    """About how many bytes a picture takes: in tiles, or whole if `tile` is not smaller than it.

    Measured at 512 to 1536 px: 7 maps of full resolution of a tile at once, and 7 of a quarter of
    it, with 4 times the channels, of the picture.
    """
    channels, pixels = network.sizes[0] // 2, height * width
    if tile >= max(height, width):
        return 4 * 7 * channels * pixels
    covered = min(tile + 2 * _HALO, height) * min(tile + 2 * _HALO, width)
    return 4 * 7 * channels * (covered + 4 * pixels // _COARSEST**2)


def _fixed(
    layer: "Layer", parameters: Tensor, enter: Map, source: Tensor, before: list[Map], tile: int
) -> Map:
    """The layer with its activation, and the moments that it has over the whole picture."""
    sums = torch.zeros(3, layer.channels, dtype=torch.float64, device=source.device)
    for _, own in _pieces(source, [*before, enter, layer.convolution], tile):
        flat = own[0].double().flatten(1)
        sums[0] += flat.shape[1]
        sums[1] += flat.sum(1)
        sums[2] += flat.square().sum(1)
    mean = sums[1] / sums[0]
    moments = Moments(mean, (sums[2] / sums[0] - mean.square()).clamp_min(0))

    def apply(features: Tensor) -> Tensor:
        return relu(layer.normalize(layer.convolution(enter(features)), parameters, moments))

    return apply


def _whole(source: Tensor, chain: list[Map], tile: int) -> Tensor:
    """What the chain makes of the source, put together from its tiles."""
    made: Tensor | None = None
    for (rows, columns), own in _pieces(source, chain, tile):
        if made is None:
            factor = Fraction(own.shape[2], min(_side(source, tile), source.shape[2]))
            sides = [int(side * factor) for side in source.shape[2:]]
            made = own.new_empty(1, own.shape[1], *sides)
        made[..., rows, columns] = own
    assert made is not None
    return made


def _pieces(
    source: Tensor, chain: list[Map], tile: int
) -> Iterator[tuple[tuple[slice, slice], Tensor]]:
    """Where each tile stands in the result, and what the chain makes of it.

    Mirrored edges are right where a tile ends with the picture; elsewhere a halo is cut off.
    """
    side = _side(source, tile)
    halo = _HALO * side // (_COARSEST * tile)
    height, width = source.shape[2:]
    for y in range(0, height, side):
        for x in range(0, width, side):
            top, left = max(0, y - halo), max(0, x - halo)
            made = source[..., top : y + side + halo, left : x + side + halo]
            before = made.shape[2]
            for step in chain:
                made = step(made)
            factor = Fraction(made.shape[2], before)
            bottom, right = min(y + side, height), min(x + side, width)
            yield (
                (_span(y, bottom, 0, factor), _span(x, right, 0, factor)),
                made[..., _span(y, bottom, top, factor), _span(x, right, left, factor)],
            )


def _side(source: Tensor, tile: int) -> int:
    """A tile's side: `tile` for features, 4 times that for a picture (3 channels)."""
    return tile * _COARSEST if source.shape[1] == 3 else tile


def _span(begin: int, end: int, offset: int, factor: Fraction) -> slice:
    return slice(int((begin - offset) * factor), int((end - offset) * factor))


def _same(features: Tensor) -> Tensor:
    return features


def _enlarged(features: Tensor) -> Tensor:
    return interpolate(features, scale_factor=2.0, mode="nearest")
