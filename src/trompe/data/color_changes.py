"""Styles in other colors, so that a network cannot tell strokes from the colors they come in."""

import torch
from torch import Tensor

_WHITE = 255.0


def draw_color_changes(count: int, share: float, generator: torch.Generator) -> Tensor:
    """Random changes of colors: a rotation or reflection of the color cube's middle.

    Args:
        count: number of changes.
        share: how many of them change anything, in [0, 1].
        generator: what they are drawn from.

    Returns:
        Orthogonal matrices (count, 3, 3), float32; the unit matrix for no change. Half of the
        others only permute the channels, and half of these invert them.
    """
    kind = torch.rand(count, generator=generator)
    normal = torch.randn(count, 3, 3, generator=generator, dtype=torch.float64)
    order = torch.rand(count, 3, generator=generator).argsort(1)
    sign = 1 - 2 * torch.randint(2, (count, 1, 1), generator=generator)
    unit = torch.eye(3)
    permuted = unit[order] * sign
    rotated = torch.linalg.qr(normal)[0].float()
    changed = torch.where((kind < share / 2)[:, None, None], permuted, rotated)
    return torch.where((kind < share)[:, None, None], changed, unit)


def change_colors(images: Tensor, matrices: Tensor) -> Tensor:
    """Images, uint8 (n, 3, H, W), with their colors turned about middle gray, and clipped."""
    middle = _WHITE / 2
    turned = matrices @ (images.flatten(2).float() - middle) + middle
    return turned.round().clamp(0, _WHITE).to(torch.uint8).view_as(images)
