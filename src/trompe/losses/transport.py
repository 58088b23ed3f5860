"""Optimal transport in closed form: positions of feature maps, or colors, as Gaussians.

What all positions of a map have in common is their mean and covariance over the channels. The
affine map between two such Gaussians that changes least is known (Pitié and Kokaram 2007, "The
linear Monge-Kantorovitch linear colour mapping for example-based colour transfer").
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

# For square roots of eigenvalues that differ by a factor of up to 1e4: 1.5^23 is 1e4, and then it
# is quadratic.
_STEPS = 28
# Added to the variances of features, whose deviation over photographs is 1.
_NOISE = 0.03  # ours: with ten times as much, Gatys' pictures are the same


class Gaussian(NamedTuple):
    """Mean (N, C) of the channels over the positions, and their covariance (N, C, C); float32."""

    mean: Tensor
    covariance: Tensor


def gaussian_of(maps: Tensor) -> Gaussian:
    """Mean and covariance of the positions of maps (N, C, H, W)."""
    with torch.autocast(maps.device.type, enabled=False):
        flat = maps.float().flatten(2)
        mean = flat.mean(2)
        centered = flat - mean[..., None]
        return Gaussian(mean, centered @ centered.mT / flat.shape[2])


def pooled(several: Sequence[Gaussian]) -> Gaussian:
    """The Gaussian of several maps of one size together, from those of each."""
    means = torch.stack([one.mean for one in several])
    between = means - means.mean(0)
    spread = (between[..., :, None] * between[..., None, :]).mean(0)
    within = torch.stack([one.covariance for one in several]).mean(0)
    return Gaussian(means.mean(0), within + spread)


def pack(gaussian: Gaussian) -> Tensor:
    """In one row (N, C + C (C + 1) / 2): the mean, and the covariance's upper triangle."""
    channels = gaussian.mean.shape[1]
    rows, columns = _triangle(channels)
    return torch.cat([gaussian.mean, gaussian.covariance[:, rows, columns]], 1)


def packed_size(channels: int) -> int:
    """Length of a row of `pack`."""
    return channels + channels * (channels + 1) // 2


def unpack(row: Tensor, channels: int) -> Gaussian:
    """The Gaussian of C channels from rows (N, C + C (C + 1) / 2) of `pack`, or means of rows."""
    covariance = row[:, channels:][:, _places(channels)].view(-1, channels, channels)
    return Gaussian(row[:, :channels], covariance)


def transport(own: Gaussian, wanted: Gaussian, noise: float) -> tuple[Tensor, Tensor]:
    """The affine map of positions that takes one Gaussian to another with the least change.

    A = S2 (S1 S2)^-1/2 for covariances S1 and S2, which is S1^-1/2 (S1^1/2 S2 S1^1/2)^1/2 S1^-1/2.

    Args:
        own: of N maps.
        wanted: of as many, or of one.
        noise: added to the variances, so that what is flat is not blown up. Where an eigenvalue is
            above 1e5 times as large, the map is a few percent wrong.

    Returns:
        A (N, C, C) and b (N, C), float32: a position x becomes A x + b.
    """
    with torch.autocast(own.mean.device.type, enabled=False):
        identity = torch.eye(own.mean.shape[1], dtype=torch.float64, device=own.mean.device)
        first, second = (g.covariance.double() + noise * identity for g in (own, wanted))
        matrix = (second @ _inverse_root(first @ second, identity)).float()
        shift = wanted.mean.float() - (matrix @ own.mean[..., None].float())[..., 0]
    return matrix, shift


def moved(maps: Tensor, matrix: Tensor, shift: Tensor) -> Tensor:
    """Maps (N, C, H, W) with each position x replaced by A x + b, float32; see `transport`."""
    with torch.autocast(maps.device.type, enabled=False):
        positions = matrix @ maps.float().flatten(2) + shift[..., None]
    return positions.view_as(maps)


def in_style(features: Tensor, own: Gaussian, style: Gaussian) -> Tensor:
    """Features (N, C, H, W), float32, with the mean and covariance of a style, changed least.

    Their structure is the content's, and what the channels have in common the style's. Li et al.
    2017 (https://arxiv.org/abs/1705.08086, sec. 3.2) whiten and color features to the same end;
    Lu et al. 2019 (https://arxiv.org/abs/1906.00668) take the optimal transport, as here.

    Args:
        features: of the content.
        own: their Gaussian, or one to take instead.
        style: that of the style's features.
    """
    return moved(features, *transport(own, style, _NOISE))


@cache
def _triangle(channels: int) -> tuple[list[int], list[int]]:
    pairs = [(i, j) for i in range(channels) for j in range(i, channels)]
    return [i for i, _ in pairs], [j for _, j in pairs]


@cache
def _places(channels: int) -> list[int]:
    """Where each number of a covariance stands in its triangle."""
    place = {pair: number for number, pair in enumerate(zip(*_triangle(channels), strict=True))}
    every = range(channels)
    return [place[min(i, j), max(i, j)] for i in every for j in every]


def _inverse_root(matrices: Tensor, identity: Tensor) -> Tensor:
    """M^-1/2 of matrices (N, C, C), float64, whose eigenvalues are real and above 0.

    The coupled Newton-Schulz iteration (Higham 2008, "Functions of Matrices", eq. 6.35): products
    only, so that it can be exported. Each step makes the smallest root 1.5 times as large, until
    all are 1.
    """
    scale = matrices.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]  # above each eigenvalue
    root, inverse = matrices / scale, identity.expand_as(matrices)
    for _ in range(_STEPS):
        step = (3 * identity - inverse @ root) / 2
        root, inverse = root @ step, step @ inverse
    return inverse / scale.sqrt()
