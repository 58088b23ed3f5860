"""The feed-forward style network: a transformer network whose normalization depends on the style.

Johnson et al. 2016, https://arxiv.org/abs/1603.08155, supplement, Table 1, for the layout;
Dumoulin et al. 2017, https://arxiv.org/abs/1610.07629, sec. 2.2, for conditional instance
normalization and upsampling by repetition; Ghiasi et al. 2017, https://arxiv.org/abs/1705.06830,
sec. 3, for predicting its parameters from the style image.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import (
    batch_norm,
    instance_norm,
    interpolate,
    layer_norm,
    leaky_relu,
    linear,
    relu,
)

from trompe.errors import Count, UserError
from trompe.networks.tiling import Moments, Tiled, stylize_in_tiles, tile_memory

_LARGEST = 3  # ours: parameters were below this in networks that could tell their styles apart


class StyleTransformer(nn.Module, Tiled):
    """Content images and a style's parameters to stylized images.

    Args:
        style_dim: length of what describes a style.
        width: channels at full resolution; 2 and 4 times as many at a half and a quarter of it.
        blocks: residual blocks at a quarter of the resolution.
        bottleneck: numbers to which a style is reduced before the parameters are predicted.
    """

    def __init__(
        self, style_dim: Count, width: Count = 32, blocks: int = 5, bottleneck: Count = 100
    ) -> None:
        super().__init__()
        wide = 4 * width
        self.down: Any = nn.ModuleList(
            [
                Layer(3, width, 9),
                Layer(width, 2 * width, 3, stride=2),
                Layer(2 * width, wide, 3, stride=2),
            ]
        )
        self.blocks = nn.ModuleList(Residual(wide) for _ in range(blocks))
        self.up: Any = nn.ModuleList([Layer(wide, 2 * width, 3), Layer(2 * width, width, 3)])
        self.last = nn.Conv2d(width, 3, 9, padding=4, padding_mode="reflect")
        layers = [module for module in self.modules() if isinstance(module, Layer)]
        self.sizes = [2 * layer.channels for layer in layers]
        self.predictor: Any = StylePredictor(style_dim, bottleneck, sum(self.sizes))
        initialize(self)
        # Every style starts near plain normalization: scale 1, shift 0.
        for weight in (self.predictor.last.weight, self.last.weight):
            weight.data.mul_(0.1)

    def predict(self, style: Tensor) -> Tensor:
        """Normalization parameters (N, P) for descriptions of styles (N, style_dim)."""
        parameters: Tensor = self.predictor(style)
        return parameters

    def forward(self, content: Tensor, parameters: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [-1, 1], H and W multiples of 4, in the style of `parameters`."""
        pairs = iter(parameters.split(self.sizes, 1))
        features = content.contiguous()
        for layer in self.down:
            features = relu(layer(features, next(pairs)))
        for block in self.blocks:
            features = features + block(features, next(pairs), next(pairs))
        for layer in self.up:
            features = interpolate(features, scale_factor=2.0, mode="nearest")
            features = relu(layer(features, next(pairs)))
        return torch.tanh(self.last(features))

    def render_in_tiles(self, content: Tensor, parameters: Tensor, tile: int) -> Tensor:
        """See `Tiled`."""
        return stylize_in_tiles(self, content, parameters, tile)

    def tile_memory(self, height: int, width: int, tile: int) -> int:
        """See `Tiled`."""
        return tile_memory(self, height, width, tile)


class OneStyleTransformer(StyleTransformer):
    """The same network for one style, whose parameters are simply learned.

    Args:
        width: see `StyleTransformer`.
        blocks: see `StyleTransformer`.
    """

    def __init__(self, width: Count = 32, blocks: int = 5) -> None:
        super().__init__(1, width, blocks, 2)
        self.predictor = nn.Identity()
        self.parameters_learned = nn.Parameter(torch.zeros(1, sum(self.sizes)))

    def predict(self, style: Tensor) -> Tensor:
        """The one style's parameters (N, P), whatever `style` (N, ...) is."""
        return self.parameters_learned.expand(style.shape[0], -1)


def initialize(network: nn.Module) -> None:
    """He's initialization of all layers for ReLU, biases at 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class StylePredictor(nn.Module):
    """From a style's description (N, style_dim) to parameters (N, P), through a bottleneck.

    The first layer's weights are scaled as it runs (Karras et al. 2018,
    https://arxiv.org/abs/1710.10196, sec. 4.1): a step of Adam, which has one size for all of its
    thousands of inputs, would throw the bottleneck far. The bottleneck is normalized and the
    parameters are bounded: layers that are normalized again do not care how large these are, and
    what all styles have in common in them grew until the styles' own part no longer counted.

    Args:
        style_dim: length of what describes a style.
        bottleneck: numbers to which it is reduced.
        parameters: P.
        gain: the parameters are multiplied by this; it also decides how fast they learn.

    Raises:
        UserError: if the bottleneck is below 2.
    """

    def __init__(self, style_dim: int, bottleneck: int, parameters: int, gain: float = 1.0) -> None:
        super().__init__()
        if bottleneck < 2:
            raise UserError(f"bottleneck={bottleneck} must be at least 2: it is normalized")
        self.style_dim, self.gain = style_dim, gain
        self.weight = nn.Parameter(torch.randn(bottleneck, style_dim))
        self.bias = nn.Parameter(torch.zeros(bottleneck))
        self.last = nn.Linear(bottleneck, parameters)

    def forward(self, style: Tensor) -> Tensor:
        """The parameters; a description may be longer, and the rest is not looked at."""
        given = layer_norm(style[:, : self.style_dim], (self.style_dim,))
        weight = (2 / self.style_dim) ** 0.5 * self.weight
        hidden = leaky_relu(linear(given, weight, self.bias), 0.2)
        parameters = self.last(layer_norm(hidden, hidden.shape[1:]))
        return _LARGEST * torch.tanh(self.gain / _LARGEST * parameters)


class Residual(nn.Module):
    """What a residual block adds: two layers, no activation after the second."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = Layer(channels, channels, 3), Layer(channels, channels, 3)

    def forward(self, features: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """The sum's second term (N, C, H, W), by the parameters of its two layers."""
        return self.second(relu(self.first(features, first)), second)


class Layer(nn.Module):
    """A convolution with mirrored edges, then instance normalization with given parameters."""

    __call__: Callable[..., Tensor]

    def __init__(self, inputs: int, channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.channels = channels
        pad = kernel // 2
        # Without a bias, which the normalization would remove again.
        self.convolution = nn.Conv2d(
            inputs, channels, kernel, stride, pad, padding_mode="reflect", bias=False
        )

    def forward(self, features: Tensor, parameters: Tensor) -> Tensor:
        """Features (N, C, H', W') of features (N, C', H, W) and parameters (N, 2 C)."""
        return self.normalize(self.convolution(features), parameters)

    def normalize(
        self, features: Tensor, parameters: Tensor, moments: Moments | None = None
    ) -> Tensor:
        """Features normalized, scaled by 1 + the first C parameters, and shifted by the others.

        Args:
            features: (N, C, H, W).
            parameters: (N, 2 C).
            moments: of the whole picture, where the features are a part of it.
        """
        scale, shift = parameters.to(features.dtype)[..., None, None].chunk(2, 1)
        if moments is None:
            normal = instance_norm(features)
        else:
            normal = batch_norm(features, moments.mean.float(), moments.variance.float())
        return normal * (1 + scale) + shift
