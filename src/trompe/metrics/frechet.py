"""The Fréchet distance between two sets of images in the space of a feature network.

Dowson and Landau (1982): between two Gaussians it is
``|m1 - m2|^2 + tr(S1 + S2 - 2 sqrt(S1 S2))``; for generated images Heusel et al. (2017), who took
Inception-v3's features and named it FID. All of it is computed in float64.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from trompe.metrics.features import FeatureNetwork
from trompe.metrics.reference import ReferenceData, reference_statistics
from trompe.metrics.statistics import (
    FeatureStatistics,
    feature_statistics,
    mean_and_covariance,
    summed,
)


def frechet_distance(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> Tensor:
    """Squared Fréchet distance of two Gaussians with means (D,) and covariances (D, D): a scalar.

    With A A' = S1, the eigenvalues of S1 S2 are those of the symmetric A' S2 A, so
    tr sqrt(S1 S2) is the sum of their square roots. No matrix root is needed, and covariances
    without full rank are no special case.
    """
    mean1, cov1, mean2, cov2 = (tensor.double() for tensor in (mean1, cov1, mean2, cov2))
    eigenvalues, eigenvectors = torch.linalg.eigh(cov1)
    root = eigenvectors * _without_rounding(eigenvalues).sqrt()
    trace_of_root = _without_rounding(torch.linalg.eigvalsh(root.T @ cov2 @ root)).sqrt().sum()
    distance = (mean1 - mean2).square().sum() + cov1.trace() + cov2.trace() - 2 * trace_of_root
    return distance.clamp(min=0)


def _without_rounding(eigenvalues: Tensor) -> Tensor:
    """Eigenvalues (D,) with zeros for those that rounding alone can explain.

    The negligible ones are not negligible under a square root: 1e-16 would count as 1e-8.
    """
    noise = len(eigenvalues) * torch.finfo(eigenvalues.dtype).eps * eigenvalues.abs().max()
    return torch.where(eigenvalues > noise, eigenvalues, 0)


class FrechetDistance(Metric):
    """Fréchet distance of generated images from reference images; both uint8 (N, 1 or 3, H, W).

    `prepare` or `set_reference` once, then `update` with batches of generated images and `compute`.
    The states are sums in float64, added over processes.

    Args:
        features: the feature network.
        n_images: how many images to generate.
        n_reference: how many images of the data to compare with, at most.
        split: the split of the data that they come from.
        cache_dir: where `prepare` keeps reference statistics; None computes them every time.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    count: Tensor
    total: Tensor
    outer: Tensor

    def __init__(
        self,
        features: FeatureNetwork,
        n_images: int,
        n_reference: int,
        split: str = "train",
        cache_dir: Path | str | None = None,
    ) -> None:
        super().__init__()
        self.features = features
        self.n_images = n_images
        self.n_reference = n_reference
        self.split = split
        self.cache_dir = cache_dir
        self.reference: FeatureStatistics | None = None
        self.data_fingerprint: str | None = None
        zeros = torch.zeros(features.dim, dtype=torch.float64)
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("total", zeros, dist_reduce_fx="sum")
        self.add_state("outer", torch.outer(zeros, zeros), dist_reduce_fx="sum")

    @property
    def name(self) -> str:
        """Named after the features: ``fd_efflite0``; only Inception-v3's may be called FID."""
        return f"fd_{self.features.name}"

    def prepare(self, data: ReferenceData) -> None:
        """Compare with images of `data` from now on, by statistics from the cache if it has them.

        Raises:
            UserError: if the split has fewer than 2 images.
        """
        self.set_reference(
            reference_statistics(self.features, data, self.split, self.n_reference, self.cache_dir)
        )
        self.data_fingerprint = data.fingerprint

    def protocol(self) -> dict[str, Any]:
        """What a value depends on besides the generated images; equal cards can be compared."""
        return {
            "metric": self.name,
            "features": self.features.fingerprint,
            "resizing": f"bicubic, antialiased, to {self.features.input_size} px",
            "precision": "float32 features, float64 distance",
            "n_images": self.n_images,
            "n_reference": None if self.reference is None else self.reference.n,
            "split": self.split,
            "data": self.data_fingerprint,
        }

    def set_reference(self, statistics: FeatureStatistics) -> None:
        """Compare with these from now on; `reset` keeps them."""
        self.reference = statistics

    def update(self, images: Tensor) -> None:
        """Take generated images into account; an empty batch changes nothing."""
        if len(images) == 0:
            return
        total, outer = summed(self.features(images))
        self.count += len(images)
        self.total += total
        self.outer += outer

    def compute(self) -> Tensor:
        """The distance, a float64 scalar of at least 0.

        Raises:
            RuntimeError: if no reference has been set.
        """
        if self.reference is None:
            raise RuntimeError(f"{self.name} has no reference: call set_reference first")
        _, mean, covariance = self.reference
        device = self.total.device
        generated = mean_and_covariance(self.count, self.total, self.outer)
        return frechet_distance(mean.to(device), covariance.to(device), *generated)

    def reference_statistics(self, batches: Iterable[Tensor]) -> FeatureStatistics:
        """Statistics (on the CPU) of batches of uint8 images."""
        return feature_statistics(self.features, batches)
