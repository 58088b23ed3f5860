"""Normalization with a scale and a shift of each class's own, in generators."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Norm = Callable[[int], nn.Module]


class ConditionalNorm(nn.Module):
    """Conditional (batch) normalization: normalized alike, scaled and shifted by class.

    Dumoulin et al. 2017, https://arxiv.org/abs/1610.07629, eq. 5; de Vries et al. 2017,
    https://arxiv.org/abs/1707.00683; in generators, Miyato and Koyama 2018,
    https://arxiv.org/abs/1802.05637, sec. 5. Scales begin at 1 and shifts at 0. All classes share
    the statistics.

    Args:
        norm: the normalization, such as `nn.BatchNorm2d`; its own scale and shift are taken away.
        channels: of the features.
        classes: number of classes.
    """

    def __init__(self, norm: nn.Module, channels: int, classes: int) -> None:
        super().__init__()
        for name in ("weight", "bias"):
            if isinstance(getattr(norm, name, None), nn.Parameter):
                norm.register_parameter(name, None)
        self.norm = norm
        self.scale = nn.Embedding.from_pretrained(torch.ones(classes, channels), freeze=False)
        self.shift = nn.Embedding.from_pretrained(torch.zeros(classes, channels), freeze=False)

    def forward(self, features: Tensor, labels: Tensor | None) -> Tensor:
        """Features (N, channels, H, W) and labels (N,), the same shape."""
        normalized: Tensor = self.norm(features)
        scale, shift = (
            rows(labels).to(normalized.dtype)[:, :, None, None] for rows in (self.scale, self.shift)
        )
        return torch.addcmul(shift, normalized, scale)


def norm_layers(norm: Norm | None, channels: int, classes: int = 0) -> list[nn.Module]:
    """The normalization of a layer, by class if there are classes; empty without one."""
    if norm is None:
        return []
    return [ConditionalNorm(norm(channels), channels, classes) if classes else norm(channels)]


class Layers(nn.Sequential):
    """Layers one after the other, of which those of `ConditionalNorm` are given the labels."""

    def forward(self, features: Any, labels: Tensor | None = None) -> Any:
        """What the last layer makes."""
        for layer in self:
            given = (labels,) if isinstance(layer, ConditionalNorm) else ()
            features = layer(features, *given)
        return features
