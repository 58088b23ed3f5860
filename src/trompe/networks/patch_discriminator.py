"""Patch discriminators: logits for overlapping patches of an image, at several scales."""

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d
from torch.nn.utils.parametrizations import spectral_norm


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

    def __init__(self, style_dim: int, width: int = 64, layers: int = 3, scales: int = 2) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchNetwork(style_dim, width, layers) for _ in range(scales))

    def forward(self, images: Tensor, style: Tensor) -> Tensor:
        """Logits (N, P) of the patches of images (N, 3, H, W) in styles (N, style_dim)."""
        logits = []
        for network in self.scales:
            logits.append(network(images, style).flatten(1))
            images = avg_pool2d(images, 2)
        return torch.cat(logits, 1)


class PatchNetwork(nn.Module):
    """One scale of a `StyleDiscriminator`."""

    def __init__(self, style_dim: int, width: int, layers: int) -> None:
        super().__init__()
        widths = [width * min(2**i, 8) for i in range(layers + 1)]
        convolutions = [_normed(nn.Conv2d(3, widths[0], 4, 2, 1))]
        for i in range(1, layers + 1):
            stride = 2 if i < layers else 1
            convolutions.append(_normed(nn.Conv2d(widths[i - 1], widths[i], 4, stride, 1)))
        self.layers = nn.Sequential(
            *(part for layer in convolutions for part in (layer, nn.LeakyReLU(0.2, inplace=True)))
        )
        self.logits = _normed(nn.Conv2d(widths[-1], 1, 1))
        self.embedding = nn.Sequential(
            nn.LayerNorm(style_dim), _normed(nn.Linear(style_dim, widths[-1], bias=False))
        )

    def forward(self, images: Tensor, style: Tensor) -> Tensor:
        """Logits (N, h, w): how real, plus how much in this style."""
        features = self.layers(images)
        direction = self.embedding(style)[..., None, None]
        return (self.logits(features) + (features * direction).sum(1, keepdim=True)).squeeze(1)


def _normed(layer: nn.Conv2d | nn.Linear) -> nn.Module:
    return spectral_norm(layer)
