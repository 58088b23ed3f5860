"""The networks of Sanakoyeu et al. 2018, https://arxiv.org/abs/1807.10201, sec. 3.3 and supplement.

An encoder and a decoder that share only the features between them, and a discriminator that
judges at several depths.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, relu

from trompe.errors import Count
from trompe.networks.edges import cut_edges, repeat_edges


class StyleAutoencoder(nn.Module):
    """Contents to images in the one style it is trained for, through features at stride 16.

    Args:
        width: channels of the encoder's first layers; 2, 4 and 8 times as many follow.
        blocks: residual blocks between encoder and decoder.
    """

    def __init__(self, width: Count = 32, blocks: int = 9) -> None:
        super().__init__()
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        self.enter = nn.Sequential(nn.InstanceNorm2d(3, affine=True), _Step(3, width, 1))
        self.down: Callable[[Tensor], Tensor] = nn.Sequential(
            *(_Step(a, b, 2) for a, b in pairwise(widths))
        )
        self.blocks = nn.ModuleList(_Block(8 * width) for _ in range(blocks))
        back = [8 * width, 8 * width, 4 * width, 2 * width, width]
        self.up = nn.ModuleList(_Step(a, b, 1) for a, b in pairwise(back))
        self.last = nn.Conv2d(width, 3, 7, padding=3, padding_mode="reflect")
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.02)

    def encode(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [-1, 1], sides multiples of 16, to features at stride 16."""
        return self.down(self.enter(images))

    def decode(self, features: Tensor) -> Tensor:
        """Features to images in [-1, 1]."""
        for block in self.blocks:
            features = features + block(features)
        for layer in self.up:
            features = layer(interpolate(features, scale_factor=2.0, mode="nearest"))
        return torch.tanh(self.last(features))

    def predict(self, style: Tensor) -> Tensor:
        """No parameters (N, 0): there is one style."""
        return style.new_zeros(style.shape[0], 0)

    def forward(self, content: Tensor, parameters: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [-1, 1] from such contents, with sides of at least 16 pixels."""
        height, width = content.shape[2:]
        made = self.decode(self.encode(repeat_edges(content, 16)))
        return cut_edges(made, height, width)


class DeepJudge(nn.Module):
    """A discriminator of seven layers, five of which have a prediction of their own.

    Args:
        width: channels of the first layer; up to 8 times as many follow.
    """

    HEADS = (0, 1, 3, 5, 6)

    def __init__(self, width: Count = 128) -> None:
        super().__init__()
        widths = [3, width, width, 2 * width, 4 * width, 4 * width, 8 * width, 8 * width]
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 5, 2, 2), nn.GroupNorm(1, b)) for a, b in pairwise(widths)
        )
        self.heads = nn.ModuleList(nn.Conv2d(widths[i + 1], 1, 5, 1, 2) for i in self.HEADS)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Logits (N, 1, h, w) of patches of images (N, 3, H, W), for each prediction."""
        found = []
        heads = iter(self.heads)
        for number, layer in enumerate(self.layers):
            images = leaky_relu(layer(images), 0.2)
            if number in self.HEADS:
                found.append(next(heads)(images))
        return found


class _Step(nn.Sequential):
    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, channels, 3, stride, 1, padding_mode="reflect", bias=False),
            nn.InstanceNorm2d(channels, affine=True),
            nn.ReLU(),
        )


class _Block(nn.Module):
    second: Callable[[Tensor], Tensor]

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = (
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
                nn.InstanceNorm2d(channels, affine=True),
            )
            for _ in range(2)
        )

    def forward(self, features: Tensor) -> Tensor:
        """What the block adds."""
        return self.second(relu(self.first(features)))
