"""A style network that starts from the content in the style's colors, and learns the strokes.

Closed-form transport gives the palette of any style, seen or unseen, before the first step of
training; what the convolutions add is the rest. They see the content once more, as a fixed network
does, with its features transported to the style's likewise: what they learn is to paint such
features, and much less what each style is. (Li et al. 2017, https://arxiv.org/abs/1705.08086,
transform and decode features in this way, one layer at a time.)

The other layers are those of `transformer`, with conditional instance normalization (Ghiasi et al.
2017, https://arxiv.org/abs/1705.06830, sec. 3). None of them works at full resolution, where most
of the time of Johnson et al.'s network goes: the first has stride 2, and the last makes four pixels
of each position (Shi et al. 2016, https://arxiv.org/abs/1609.05158, eq. 4).
"""

from itertools import repeat
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, pixel_shuffle

from trompe.engine.randomness import keyed_generator
from trompe.errors import Count, UserError
from trompe.losses.transport import (
    Gaussian,
    gaussian_of,
    in_style,
    moved,
    packed_size,
    transport,
    unpack,
)
from trompe.networks.palette import NOISE, PALETTE_DIM
from trompe.networks.perceptual_network import PerceptualNetwork
from trompe.networks.sight import Sight
from trompe.networks.strokes import Paints, Statistics, shrunk
from trompe.networks.tiling import moments_of
from trompe.networks.transformer import Layer, Residual, StylePredictor, initialize

# Colors beyond this share of the range would get no gradient through the tanh.
_REACH = 0.95
# Every style starts near plain normalization. The activations leak, or a few steps could shift the
# features of the last layers below zero for all styles, where no gradient would reach them.
_GAIN, _SLOPE = 0.3, 0.2
_GRAIN_STD = 0.04  # ours: 5 gray levels of 255
_GRAIN, _SIGNS = 256, 241  # pixels after which each repeats; both, having no common divisor: 61,696
_HALF = 2  # the stride at half of the resolution
_ROWS = 256  # of a large picture that are painted at once


class PaletteTransformer(nn.Module, Paints):
    """Content images and a style's parameters to stylized images.

    Args:
        style_dim: length of what describes a style for the predictor.
        encoder: sees the content, at its content layers; it is not trained.
        width: channels at half of the resolution.
        wide: channels at a quarter of it.
        blocks: residual blocks at a quarter of the resolution.
        bottleneck: numbers to which a style is reduced before the parameters are predicted.

    Raises:
        UserError: if the encoder has no content layer, or features in other units.
    """

    def __init__(
        self,
        style_dim: Count,
        encoder: PerceptualNetwork,
        width: Count = 32,
        wide: Count = 128,
        blocks: int = 4,
        bottleneck: Count = 100,
    ) -> None:
        super().__init__()
        if not encoder.content_layers:
            raise UserError("the palette generator needs content layers of model.perceptual")
        encoder.check_units("the palette generator")
        self.style_dim = style_dim
        self.sight = Sight(encoder)
        self.is_early = [stride <= _HALF for stride in self.sight.strides]
        # The content, and the content in the style's colors.
        self.down: Any = nn.ModuleList([Layer(6, width, 7, stride=2), Layer(width, wide, 3, 2)])
        self.see: Any = nn.ModuleList(
            nn.Conv2d(seen, channels, 1) if seen else nn.Identity()
            for seen, channels in zip(self._seen_channels(), (width, wide), strict=True)
        )
        self.blocks: Any = nn.ModuleList(Residual(wide) for _ in range(blocks))
        self.up = Layer(wide, width, 3)
        self.last = nn.Conv2d(width, 12, 5, padding=2, padding_mode="reflect")
        layers = [module for module in self.modules() if isinstance(module, Layer)]
        self.sizes = [2 * layer.channels for layer in layers]
        self.predictor = StylePredictor(style_dim, bottleneck, sum(self.sizes), _GAIN)
        noise = torch.randn(_GRAIN, _GRAIN, generator=keyed_generator(0, "grain"))
        self.register_buffer("grain", _GRAIN_STD * noise, persistent=False)
        signs = torch.randint(2, (_SIGNS, _SIGNS), generator=keyed_generator(0, "grain's signs"))
        self.register_buffer("signs", 2.0 * signs - 1, persistent=False)
        initialize(self)
        with torch.no_grad():
            # Near the recolored content, and the four pixels of a position are the same.
            self.last.weight.copy_(0.08 * self.last.weight[::4].repeat_interleave(4, 0))

    def _seen_channels(self) -> tuple[int, int]:
        """Of the layers that enter at half of the resolution, and of those at a quarter."""
        channels = self.sight.channels
        early = sum(n for n, is_early in zip(channels, self.is_early, strict=True) if is_early)
        return early, sum(channels) - early

    @property
    def encoder(self) -> PerceptualNetwork:
        """The network that sees the content."""
        return self.sight.network

    def look_through(self, network: PerceptualNetwork) -> None:
        """See the content with this network, which has the same weights, from now on."""
        self.sight.network = network

    def predict(self, style: Tensor) -> Tensor:
        """Parameters (N, P) of described styles (N, S).

        The Gaussians of the style's colors and features, as the description ends with them, then
        the normalization parameters.
        """
        gaussians = style[:, self.style_dim - PALETTE_DIM :]
        return torch.cat([gaussians, self.predictor(style)], 1)

    def forward(
        self, content: Tensor, parameters: Tensor, fixed: Statistics | None = None
    ) -> Tensor:
        """Images (N, 3, H, W) in [-1, 1], H and W multiples of 8, in the style of `parameters`.

        Args:
            content: images in [-1, 1].
            parameters: (N, P), of `predict`.
            fixed: statistics to take instead of those of the content; see `measure`.
        """
        own = gaussian_of(content) if fixed is None else fixed.gaussians[0]
        recolored = moved(content, *self._color_map(own, parameters))
        return painted(recolored, self.strokes(content, recolored, parameters, fixed))

    def strokes(
        self,
        content: Tensor,
        recolored: Tensor,
        parameters: Tensor,
        fixed: Statistics | None = None,
        found: Statistics | None = None,
    ) -> Tensor:
        """What is painted on the recolored content: (N, 3, H, W), before the tanh, float32.

        Args:
            content: images (N, 3, H, W) in [-1, 1].
            recolored: the same in the style's colors.
            parameters: (N, P), of `predict`.
            fixed: statistics to transport and to normalize with.
            found: takes the statistics, for a batch of one.
        """
        moments = iter(fixed.moments) if fixed is not None else repeat(None)
        _, wanted, predicted = self._split(parameters)
        pairs = iter(predicted.split(self.sizes, 1))

        def pass_through(layer: Layer, features: Tensor) -> Tensor:
            features = layer.convolution(features)
            if found is not None:
                found.moments.append(moments_of(features))
            return layer.normalize(features, next(pairs), next(moments))

        grain = self.grained(content)
        with torch.no_grad():
            seen = self.sight(recolored + grain)
            own = [gaussian_of(maps) for maps in seen] if fixed is None else fixed.gaussians[1:]
            if found is not None:
                found.gaussians.extend(own)
            seen = [in_style(*of_layer) for of_layer in zip(seen, own, wanted, strict=True)]
        features = torch.cat([content + grain, recolored.to(content.dtype)], 1)
        for layer, enter, maps in zip(self.down, self.see, self._by_size(seen), strict=True):
            features = leaky_relu(pass_through(layer, features), _SLOPE)
            if maps:
                sides = features.shape[2:]
                resized = [interpolate(m, sides, mode="bilinear") for m in maps]
                features = features + enter(torch.cat(resized, 1))
        for block in self.blocks:
            first = leaky_relu(pass_through(block.first, features), _SLOPE)
            features = features + pass_through(block.second, first)
        features = interpolate(features, scale_factor=2.0, mode="nearest")
        features = leaky_relu(pass_through(self.up, features), _SLOPE)
        return pixel_shuffle(self.last(features), 2).float()

    def grained(self, images: Tensor) -> Tensor:
        """The grain (1, 1, H, W) of images (N, 3, H, W): always the same, so that nothing flickers.

        Where a content is flat, all positions look alike to a convolution: it could put no strokes
        there. And where the grain repeats, so do they.
        """
        rows, columns = (torch.arange(n, device=images.device) for n in images.shape[2:])
        noise: Tensor = self.get_buffer("grain")[:, columns % _GRAIN][rows % _GRAIN]
        signs: Tensor = self.get_buffer("signs")[:, columns % _SIGNS][rows % _SIGNS]
        return (noise * signs)[None, None].to(images.dtype)

    @torch.no_grad()
    def measure(self, content: Tensor, parameters: Tensor) -> Statistics:
        """See `Paints`."""
        found = Statistics([gaussian_of(content)], [])
        recolored = moved(content, *self._color_map(found.gaussians[0], parameters))
        self.strokes(content, recolored, parameters, found=found)
        return found

    @torch.no_grad()
    def render_enlarged(
        self, content: Tensor, parameters: Tensor, side: int, fixed: Statistics | None = None
    ) -> Tensor:
        """See `Paints`: painted on the recolored content at full size."""
        small = shrunk(content, side)
        own = gaussian_of(small) if fixed is None else fixed.gaussians[0]
        colors = self._color_map(own, parameters)
        strokes = self.strokes(small, moved(small, *colors), parameters, fixed)
        made = interpolate(strokes, content.shape[2:], mode="bicubic")
        # In place, and some rows at a time: a photograph of 12 megapixels has 150 MB as floats.
        for rows, paint in zip(content.split(_ROWS, 2), made.split(_ROWS, 2), strict=True):
            paint.copy_(painted(moved(rows, *colors), paint))
        return made

    def _color_map(self, own: Gaussian, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return transport(own, self._split(parameters)[0], NOISE)

    def _split(self, parameters: Tensor) -> tuple[Gaussian, list[Gaussian], Tensor]:
        """The style's colors, its features, and the normalization parameters."""
        channels = [3, *self.sight.channels]
        parts = parameters.split([*map(packed_size, channels), sum(self.sizes)], 1)
        colors, *features = map(unpack, parts[:-1], channels)
        return colors, features, parts[-1]

    def _by_size(self, seen: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        pairs = list(zip(seen, self.is_early, strict=True))
        early = [maps for maps, is_early in pairs if is_early]
        return early, [maps for maps, is_early in pairs if not is_early]


def painted(recolored: Tensor, strokes: Tensor) -> Tensor:
    """Images with strokes on them, in [-1, 1]: both (N, 3, H, W)."""
    return torch.tanh(recolored.clamp(-_REACH, _REACH).atanh() + strokes)
