"""The Fréchet distance between two sets of images in the space of a feature network.

Dowson and Landau (1982): between two Gaussians it is
``|m1 - m2|^2 + tr(S1 + S2 - 2 sqrt(S1 S2))``; for generated images Heusel et al. (2017), who took
Inception-v3's features and named it FID. All of it is computed in float64.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from trompe.metrics.score import Score


class Gaussian(NamedTuple):
    """A Gaussian fitted to features: mean (D,), a root A (D, D) of its covariance A A', its trace.

    Everything of a reference that a distance from it needs; computed once, then kept.
    """

    mean: Tensor
    root: Tensor
    trace: Tensor


def fit_gaussian(features: Tensor) -> Gaussian:
    """The Gaussian with the mean and unbiased covariance of features (N, D), in float64."""
    mean, rows = _standardized(features)
    covariance = rows.T @ rows
    eigenvalues, eigenvectors = torch.linalg.eigh(covariance)
    root = eigenvectors * _without_rounding(eigenvalues).sqrt()
    return Gaussian(mean, root, covariance.trace())


def frechet_distance(reference: Gaussian, features: Tensor) -> Tensor:
    """Squared Fréchet distance of a Gaussian from the one that fits `features` (N, D): a scalar.

    With S1 = A A' and S2 = X'X the eigenvalues of S1 S2 are those of the symmetric A' S2 A, and,
    but for zeros, of (XA)(XA)', which is the smaller matrix for few images. So tr sqrt(S1 S2) is
    the sum of their square roots: no root of a matrix is needed, and covariances without full rank
    are no special case.

    Raises:
        ValueError: if there are fewer than 2 features.
    """
    mean, rows = _standardized(features)
    if len(rows) >= features.shape[1]:
        return distance_of_moments(reference, mean, rows.T @ rows)
    product = rows @ reference.root
    return _distance(reference, mean, rows.square().sum(), product @ product.T)


def distance_of_moments(reference: Gaussian, mean: Tensor, covariance: Tensor) -> Tensor:
    """`frechet_distance` of a Gaussian that is given by mean (D,) and covariance (D, D)."""
    product = reference.root.T @ covariance @ reference.root
    return _distance(reference, mean, covariance.trace(), product)


def _distance(reference: Gaussian, mean: Tensor, trace: Tensor, product: Tensor) -> Tensor:
    """The distance, given the trace of S2 and a matrix with the eigenvalues of S1 S2."""
    trace_of_root = _without_rounding(torch.linalg.eigvalsh(product)).sqrt().sum()
    between = (reference.mean - mean).square().sum()
    return (between + reference.trace + trace - 2 * trace_of_root).clamp(min=0)


def extrapolated_distance(reference: Gaussian, features: Tensor, points: int = 15) -> Score:
    """The Fréchet distance of infinitely many images, by extrapolation.

    Chong and Forsyth 2020, https://arxiv.org/abs/1911.07023, sec. 4: the distance of N images is
    biased by nearly c / N; a line through the distances of 15 sizes (there evenly spaced from 5,000
    to 50,000; here from a tenth of the features to all) against 1 / N meets the axis at the
    unbiased value. The first N features stand for a random N, so they must be in random order.

    Raises:
        ValueError: if there are fewer than 20 features.
    """
    count = len(features)
    if count < 20:
        raise ValueError(f"an extrapolation needs at least 20 images, not {count}")
    sizes = torch.linspace(count / 10, count, points).round().long().unique()
    distances = [frechet_distance(reference, features[:n]) for n in sizes.tolist()]
    y = torch.stack(distances).cpu().double()
    design = torch.stack([torch.ones(len(sizes)), 1 / sizes.float()], 1).double()
    solution = torch.linalg.lstsq(design, y[:, None]).solution[:, 0]
    residual = (y - design @ solution).square().sum() / (len(sizes) - 2)
    error = (residual * torch.linalg.inv(design.T @ design)[0, 0]).sqrt()
    return Score(float(solution[0]), float(error))


def _standardized(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and X (N, D) with X'X the unbiased covariance of features (N, D)."""
    count = len(features)
    if count < 2:
        raise ValueError(
            f"a covariance needs at least 2 images, not {count}; kd needs no covariance"
        )
    features = features.double()
    mean = features.mean(0)
    return mean, (features - mean) / (count - 1) ** 0.5


def _without_rounding(eigenvalues: Tensor) -> Tensor:
    """Eigenvalues (D,) with zeros for those that rounding alone can explain.

    The negligible ones are not negligible under a square root: 1e-16 would count as 1e-8.
    """
    noise = len(eigenvalues) * torch.finfo(eigenvalues.dtype).eps * eigenvalues.abs().max()
    return torch.where(eigenvalues > noise, eigenvalues, 0)
