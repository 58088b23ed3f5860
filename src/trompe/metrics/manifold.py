"""Fidelity and diversity apart, by nearest neighbors in feature space.

Precision and recall: Kynkäänniemi et al. 2019, https://arxiv.org/abs/1904.06991, eq. 1-3. Density
and coverage: Naeem et al. 2020, https://arxiv.org/abs/2002.09797, eq. 5 and 9. A manifold is the
union of balls around a set's features, each reaching to its k-th nearest neighbor in the set,
itself not counted.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from trompe.metrics.score import Score

# Rows of a distance matrix that are held at once: 2048 x 50,000 float64 are 800 MB.
_ROWS = 2048


def precision(real: Tensor, generated: Tensor, k: int = 3) -> Score:
    """Share of generated features (M, D) within the manifold of the real ones (N, D).

    Args:
        real: features of real images.
        generated: features of generated images.
        k: neighbor that gives a ball's radius; 3 in the paper, sec. 3.
    """
    return _share(_inside(generated, real, k))


def recall(real: Tensor, generated: Tensor, k: int = 3) -> Score:
    """Share of real features (N, D) within the manifold of the generated ones (M, D)."""
    return _share(_inside(real, generated, k))


def density(real: Tensor, generated: Tensor, k: int = 5) -> Score:
    """Real balls that hold a generated feature, over k: not bounded by 1; 1 for equal sets.

    Unlike precision, one real outlier with its wide ball counts little. k is 5 in the paper,
    sec. 4.
    """
    radii = neighbor_distances(real, k)
    counts = torch.cat([(block <= radii).sum(1) for block in _distances(generated, real)])
    return _mean(counts.double() / k)


def coverage(real: Tensor, generated: Tensor, k: int = 5) -> Score:
    """Share of real features (N, D) whose ball holds at least one generated feature."""
    radii = neighbor_distances(real, k)
    nearest = torch.cat([block.amin(1) for block in _distances(real, generated)])
    return _share(nearest <= radii)


def memorization(train: Tensor, held_out: Tensor, generated: Tensor) -> Score:
    """How much nearer to a training image generated ones are than held-out real ones.

    The share of generated features whose nearest training feature is nearer than that of the
    median held-out one, minus one half: 0 for a sampler of new images, toward 0.5 for one that
    repeats its training set; below 0 if it keeps farther away than real images do.
    """
    typical = nearest_distances(held_out, train).median()
    share = _share(nearest_distances(generated, train) < typical)
    return Score(share.value - 0.5, share.standard_error)


def neighbor_distances(features: Tensor, k: int) -> Tensor:
    """Distance of each feature (N, D) to its k-th nearest other one: (N,).

    Raises:
        ValueError: if there are no more than k.
    """
    if len(features) <= k:
        raise ValueError(
            f"k={k} nearest neighbors need at least {k + 1} images, not {len(features)}"
        )
    found = []
    for start, block in _blocks(features, features):
        # Its distance to itself is 0 up to rounding; that must not become a ball's radius.
        block[torch.arange(len(block)), torch.arange(start, start + len(block))] = torch.inf
        found.append(block.kthvalue(k, dim=1).values)
    return torch.cat(found)


def nearest_distances(queries: Tensor, features: Tensor) -> Tensor:
    """Distance of each query (M, D) to the nearest of the features (N, D): (M,)."""
    return torch.cat([block.amin(1) for block in _distances(queries, features)])


def _inside(queries: Tensor, centers: Tensor, k: int) -> Tensor:
    radii = neighbor_distances(centers, k)
    return torch.cat([(block <= radii).any(1) for block in _distances(queries, centers)])


def _distances(a: Tensor, b: Tensor) -> Iterator[Tensor]:
    return (block for _, block in _blocks(a, b))


def _blocks(a: Tensor, b: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Euclidean distances of (N, D) to (M, D), as (first row, (rows, M)).

    By matrix products, which are many times faster than differences, and in float64, so that they
    are right to 1e-7 of the features' length even between equal features.
    """
    a, b = a.double(), b.double()
    for start in range(0, len(a), _ROWS):
        rows = a[start : start + _ROWS]
        yield start, torch.cdist(rows, b, compute_mode="use_mm_for_euclid_dist")


def _share(hits: Tensor) -> Score:
    return _mean(hits.double())


def _mean(values: Tensor) -> Score:
    """Mean and its standard error over images; the manifold is taken as given."""
    error = values.std(correction=0) / len(values) ** 0.5
    return Score(float(values.mean()), float(error))
