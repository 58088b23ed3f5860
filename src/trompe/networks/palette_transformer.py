"""A style network that starts from the content in the style's colors, and learns the strokes.

Closed-form color transfer gives the palette of any style, seen or unseen, before the first step
of training; what the convolutions add is the rest. The layers are those of `transformer`, with
conditional instance normalization (Ghiasi et al. 2017, https://arxiv.org/abs/1705.06830, sec. 3).
None of them works at full resolution, where most of the time of Johnson et al.'s network goes: the
first has stride 2, and the last makes four pixels of each position (Shi et al. 2016,
https://arxiv.org/abs/1609.05158, eq. 4).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle, relu

from trompe.errors import Count
from trompe.networks.palette import PALETTE_DIM, color_map, palette_of, recolor
from trompe.networks.transformer import Layer, Residual, initialize, style_predictor

# Colors beyond this share of the range would get no gradient through the tanh.
_REACH = 0.95


class PaletteTransformer(nn.Module):
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
        self.blocks = nn.ModuleList(Residual(wide) for _ in range(blocks))
        self.up = Layer(wide, width, 3)
        self.last = nn.Conv2d(width, 12, 5, padding=2, padding_mode="reflect")
        layers = [module for module in self.modules() if isinstance(module, Layer)]
        self.sizes = [2 * layer.channels for layer in layers]
        self.predictor = style_predictor(style_dim, bottleneck, sum(self.sizes))
        initialize(self)
        with torch.no_grad():
            # Every style starts near plain normalization and near the recolored content, and the
            # four pixels of a position are the same.
            self.predictor[-1].weight.mul_(0.1)  # type: ignore[operator]
            self.last.weight.copy_(0.1 * self.last.weight[::4].repeat_interleave(4, 0))

    def predict(self, style: Tensor) -> Tensor:
        """The palette, then normalization parameters, (N, 9 + P), of styles (N, style_dim)."""
        return torch.cat([style[:, -PALETTE_DIM:], self.predictor(style)], 1)

    def forward(self, content: Tensor, parameters: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [-1, 1], H and W multiples of 4, in the style of `parameters`."""
        palette, rest = parameters.tensor_split([PALETTE_DIM], 1)
        recolored = recolor(content, *color_map(palette_of(content), palette))
        pairs = iter(rest.split(self.sizes, 1))
        features = torch.cat([content, recolored.to(content.dtype)], 1)
        for layer in self.down:
            features = relu(layer(features, next(pairs)))
        for block in self.blocks:
            features = features + block(features, next(pairs), next(pairs))
        features = interpolate(features, scale_factor=2.0, mode="nearest")
        strokes = pixel_shuffle(self.last(relu(self.up(features, next(pairs)))), 2)
        return torch.tanh(recolored.clamp(-_REACH, _REACH).atanh() + strokes.float())
