"""A style network that starts from the content in the style's colors, and learns the strokes.

Closed-form color transfer gives the palette of any style, seen or unseen, before the first step
of training; what the convolutions add is the rest. The layers are those of `transformer`, with
conditional instance normalization (Ghiasi et al. 2017, https://arxiv.org/abs/1705.06830, sec. 3).
None of them works at full resolution, where most of the time of Johnson et al.'s network goes: the
first has stride 2, and the last makes four pixels of each position (Shi et al. 2016,
https://arxiv.org/abs/1609.05158, eq. 4).
"""

from itertools import repeat
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, pixel_shuffle

from trompe.engine.randomness import keyed_generator
from trompe.errors import Count
from trompe.networks.palette import PALETTE_DIM, color_map, palette_of, recolor
from trompe.networks.strokes import Paints, Statistics, shrunk
from trompe.networks.tiling import Moments, moments_of
from trompe.networks.transformer import Layer, Residual, initialize, style_predictor

# Colors beyond this share of the range would get no gradient through the tanh.
_REACH = 0.95
# Every style starts near plain normalization. The activations leak, or a few steps could shift the
# features of the last layers below zero for all styles, where no gradient would reach them.
_GAIN, _SLOPE = 0.3, 0.2
_GRAIN, _GRAIN_STD = 256, 0.04  # ours: pixels after which it repeats; 5 gray levels of 255
_ROWS = 256  # of a large picture that are painted at once


class PaletteTransformer(nn.Module, Paints):
    """Content images and a style's parameters to stylized images.

    Args:
        style_dim: length of what describes a style; it ends with the style's palette.
        width: channels at half of the resolution.
        wide: channels at a quarter of it.
        blocks: residual blocks at a quarter of the resolution.
        bottleneck: numbers to which a style is reduced before the parameters are predicted.
    """

    def __init__(
        self,
        style_dim: Count,
        width: Count = 32,
        wide: Count = 128,
        blocks: int = 4,
        bottleneck: Count = 100,
    ) -> None:
        super().__init__()
        # The content, and the content in the style's colors.
        self.down: Any = nn.ModuleList([Layer(6, width, 7, stride=2), Layer(width, wide, 3, 2)])
        self.blocks: Any = nn.ModuleList(Residual(wide) for _ in range(blocks))
        self.up = Layer(wide, width, 3)
        self.last = nn.Conv2d(width, 12, 5, padding=2, padding_mode="reflect")
        layers = [module for module in self.modules() if isinstance(module, Layer)]
        self.sizes = [2 * layer.channels for layer in layers]
        self.predictor = style_predictor(style_dim, bottleneck, sum(self.sizes))
        noise = torch.randn(_GRAIN, _GRAIN, generator=keyed_generator(0, "grain"))
        self.register_buffer("grain", _GRAIN_STD * noise, persistent=False)
        initialize(self)
        with torch.no_grad():
            # Near the recolored content, and the four pixels of a position are the same.
            self.last.weight.copy_(0.1 * self.last.weight[::4].repeat_interleave(4, 0))

    def predict(self, style: Tensor) -> Tensor:
        """The palette, then normalization parameters, (N, 9 + P), of styles (N, style_dim)."""
        return torch.cat([style[:, -PALETTE_DIM:], _GAIN * self.predictor(style)], 1)

    def forward(
        self, content: Tensor, parameters: Tensor, fixed: Statistics | None = None
    ) -> Tensor:
        """Images (N, 3, H, W) in [-1, 1], H and W multiples of 4, in the style of `parameters`.

        Args:
            content: images in [-1, 1].
            parameters: (N, 9 + P), of `predict`.
            fixed: statistics to take instead of those of the content; see `measure`.
        """
        own = palette_of(content) if fixed is None else fixed.palette
        recolored = recolor(content, *color_map(own, parameters[:, :PALETTE_DIM]))
        return painted(recolored, self.strokes(content, recolored, parameters, fixed))

    def strokes(
        self,
        content: Tensor,
        recolored: Tensor,
        parameters: Tensor,
        fixed: Statistics | None = None,
        found: list[Moments] | None = None,
    ) -> Tensor:
        """What is painted on the recolored content: (N, 3, H, W), before the tanh, float32.

        Args:
            content: images (N, 3, H, W) in [-1, 1].
            recolored: the same in the style's colors.
            parameters: (N, 9 + P), of `predict`.
            fixed: statistics to normalize with.
            found: takes the statistics of each layer, for a batch of one.
        """
        moments = iter(fixed.moments) if fixed is not None else repeat(None)
        pairs = iter(parameters[:, PALETTE_DIM:].split(self.sizes, 1))

        def pass_through(layer: Layer, features: Tensor) -> Tensor:
            features = layer.convolution(features)
            if found is not None:
                found.append(moments_of(features))
            return layer.normalize(features, next(pairs), next(moments))

        features = torch.cat([content + self.grained(content), recolored.to(content.dtype)], 1)
        for layer in self.down:
            features = leaky_relu(pass_through(layer, features), _SLOPE)
        for block in self.blocks:
            first = leaky_relu(pass_through(block.first, features), _SLOPE)
            features = features + pass_through(block.second, first)
        features = interpolate(features, scale_factor=2.0, mode="nearest")
        features = leaky_relu(pass_through(self.up, features), _SLOPE)
        return pixel_shuffle(self.last(features), 2).float()

    def grained(self, images: Tensor) -> Tensor:
        """The grain (1, 1, H, W) of images (N, 3, H, W): always the same, so that nothing flickers.

        Where a content is flat, all positions look alike to a convolution: it could put no strokes
        there.
        """
        rows, columns = (torch.arange(n, device=images.device) % _GRAIN for n in images.shape[2:])
        grain: Tensor = self.get_buffer("grain")[:, columns][rows][None, None]
        return grain.to(images.dtype)

    @torch.no_grad()
    def measure(self, content: Tensor, parameters: Tensor) -> Statistics:
        """See `Paints`."""
        own, found = palette_of(content), list[Moments]()
        recolored = recolor(content, *color_map(own, parameters[:, :PALETTE_DIM]))
        self.strokes(content, recolored, parameters, found=found)
        return Statistics(own, found)

    @torch.no_grad()
    def render_enlarged(
        self, content: Tensor, parameters: Tensor, side: int, fixed: Statistics | None = None
    ) -> Tensor:
        """See `Paints`: painted on the recolored content at full size."""
        small = shrunk(content, side)
        own = palette_of(small) if fixed is None else fixed.palette
        colors = color_map(own, parameters[:, :PALETTE_DIM])
        strokes = self.strokes(small, recolor(small, *colors), parameters, fixed)
        made = interpolate(strokes, content.shape[2:], mode="bicubic")
        # In place, and some rows at a time: a photograph of 12 megapixels has 150 MB as floats.
        for rows, paint in zip(content.split(_ROWS, 2), made.split(_ROWS, 2), strict=True):
            paint.copy_(painted(recolor(rows, *colors), paint))
        return made


def painted(recolored: Tensor, strokes: Tensor) -> Tensor:
    """Images with strokes on them, in [-1, 1]: both (N, 3, H, W)."""
    return torch.tanh(recolored.clamp(-_REACH, _REACH).atanh() + strokes)
