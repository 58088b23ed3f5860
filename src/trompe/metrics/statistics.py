"""The Gaussian of a set of images in the space of a feature network, from sums in float64."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn


class FeatureStatistics(NamedTuple):
    """A Gaussian fitted to features: number of images, mean (D,), covariance (D, D), float64."""

    n: int
    mean: Tensor
    covariance: Tensor


def mean_and_covariance(n: int | Tensor, total: Tensor, outer: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and unbiased covariance (D, D) of n vectors x, from their sums, in float64.

    Args:
        n: number of vectors, at least 2.
        total: (D,), the sum of x.
        outer: (D, D), the sum of x x'.

    Raises:
        ValueError: if n is less than 2.
    """
    if n < 2:
        raise ValueError(f"a covariance needs at least 2 images, not {int(n)}")
    total, outer = total.double(), outer.double()
    mean = total / n
    return mean, (outer - torch.outer(total, mean)) / (n - 1)


def summed(features: Tensor) -> tuple[Tensor, Tensor]:
    """Sum (D,) and sum of outer products (D, D) of features (N, D), in float64."""
    features = features.double()
    return features.sum(0), features.T @ features


def feature_statistics(features: nn.Module, batches: Iterable[Tensor]) -> FeatureStatistics:
    """Statistics (on the CPU) of the features of batches of uint8 images (N, 1 or 3, H, W).

    Raises:
        ValueError: if there are fewer than 2 images.
    """
    n = 0
    total, outer = torch.zeros(()), torch.zeros(())
    for images in batches:
        batch_total, batch_outer = summed(features(images))
        n, total, outer = n + len(images), total + batch_total, outer + batch_outer
    mean, covariance = mean_and_covariance(n, total, outer)
    return FeatureStatistics(n, mean.cpu(), covariance.cpu())
