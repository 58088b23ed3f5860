"""Patch discriminators: logits for overlapping patches of an image, at several scales."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d
from torch.nn.utils.parametrizations import spectral_norm

from trompe.errors import Count


class StyleDiscriminator(nn.Module):
    """Says of each patch whether it is painted in a given style, at several scales.

    Isola et al. 2017, https://arxiv.org/abs/1611.07004, sec. 3.2.2 and 6.1.2 for the 70 x 70 patch
    network (three layers of stride 2), Wang et al. 2018, https://arxiv.org/abs/1711.11585, sec. 3.2
    for the scales, Miyato et al. 2018, https://arxiv.org/abs/1802.05957 for spectral normalization,
    Miyato and Koyama 2018, https://arxiv.org/abs/1802.05637, eq. 3 for conditioning by projection.

    Args:
        style_dim: length of what describes a style.
        width: channels of the first layer, at most 8 times as many in the last.
        layers: convolutions of stride 2; a patch is 34, 70 or 142 pixels wide for 2, 3 or 4.
        scales: the image as it is, halved, halved again and so on.
    """

    def __init__(
        self, style_dim: Count, width: Count = 64, layers: int = 3, scales: Count = 2
    ) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchNetwork(style_dim, width, layers) for _ in range(scales))

    def forward(self, images: Tensor, style: Tensor) -> Tensor:
        """Logits (N, P) of the patches of images (N, 3, H, W) in styles (N, style_dim)."""
        logits = []
        for network in self.scales:
            logits.append(network(images, style).flatten(1))
            images = avg_pool2d(images, 2)
        return torch.cat(logits, 1)


class StyleLogits(nn.Module):
    """Layers, and a logit for each of their places, conditioned by projection.

    Args:
        style_dim: length of what describes a style.
        layers: give `width` channels.
        width: of the layers' output.
        scale: the style's direction is divided by it.
    """

    def __init__(self, style_dim: int, layers: nn.Module, width: int, scale: float = 1) -> None:
        super().__init__()
        self.layers = layers
        self.logits = spectral_norm(nn.Conv2d(width, 1, 1))
        self.embedding = nn.Sequential(
            nn.LayerNorm(style_dim), spectral_norm(nn.Linear(style_dim, width, bias=False))
        )
        self.scale = scale

    def forward(self, images: Tensor, style: Tensor) -> Tensor:
        """Logits (N, h, w): how real, plus how much in this style."""
        features = self.layers(images)
        direction = self.embedding(style)[..., None, None] / self.scale
        logits: Tensor = self.logits(features) + (features * direction).sum(1, keepdim=True)
        return logits.squeeze(1)


class PatchNetwork(StyleLogits):
    """One scale of a `StyleDiscriminator`."""

    def __init__(self, style_dim: int, width: int, layers: int) -> None:
        widths = patch_widths(width, layers)
        super().__init__(style_dim, patch_layers([3, *widths], wrap=spectral_norm), widths[-1])


def patch_widths(width: int, layers: int) -> list[int]:
    """Channels of each layer of a patch network but the last: doubled, up to 8 times the first.

    Isola et al. 2017, https://arxiv.org/abs/1611.07004, sec. 6.1.2: C64-C128-C256-C512.

    Args:
        width: channels of the first layer.
        layers: convolutions of stride 2; one of stride 1 follows.
    """
    return [width * min(2**i, 8) for i in range(layers + 1)]


def patch_layers(
    widths: list[int],
    wrap: Callable[[nn.Conv2d], nn.Module] | None = None,
    norm: Callable[[int], nn.Module] | None = None,
) -> nn.Sequential:
    """The layers between them: 4 x 4 convolutions of stride 2, the last one of stride 1.

    Isola et al. 2017, https://arxiv.org/abs/1611.07004, sec. 6.1.2, for leaky ReLUs of slope 0.2
    and no normalization in the first layer.

    Args:
        widths: the image's channels, then those of each layer.
        wrap: makes something of each convolution, e.g. one with spectral normalization.
        norm: makes a normalization layer from a channel count.
    """
    found: list[nn.Module] = []
    for number, (before, after) in enumerate(pairwise(widths)):
        stride = 2 if number < len(widths) - 2 else 1
        convolution = nn.Conv2d(before, after, 4, stride, 1)
        found.append(convolution if wrap is None else wrap(convolution))
        if norm is not None and number:
            found.append(norm(after))
        found.append(nn.LeakyReLU(0.2, inplace=True))
    return nn.Sequential(*found)
