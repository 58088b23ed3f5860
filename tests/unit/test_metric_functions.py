"""Kernel distance and neighbor measures against references written out, and what they are for."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.image.kid import poly_mmd

from trompe.metrics.kernel import kernel_distance
from trompe.metrics.manifold import (
    coverage,
    density,
    memorization,
    nearest_distances,
    neighbor_distances,
    precision,
    recall,
)
from trompe.metrics.score import Score


def cloud(n: int, seed: int, dim: int = 6, shift: float = 0.0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, dim, generator=generator) * scale + shift


# Kernel distance


def mmd_written_out(x: np.ndarray, y: np.ndarray) -> float:
    def mean(a: np.ndarray, b: np.ndarray, same: bool) -> float:
        values = [
            (a[i] @ b[j] / len(a[i]) + 1) ** 3
            for i in range(len(a))
            for j in range(len(b))
            if not (same and i == j)
        ]
        return sum(values) / len(values)

    return mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)


def test_kernel_distance_is_the_formula() -> None:
    x, y = cloud(9, 0), cloud(13, 1, shift=0.5)
    expected = mmd_written_out(x.double().numpy(), y.double().numpy())
    assert kernel_distance(x, y).value == pytest.approx(expected, rel=1e-12)


def test_kernel_distance_is_torchmetrics_for_sets_of_one_size() -> None:
    x, y = cloud(40, 0).double(), cloud(40, 1, shift=0.3).double()

    theirs = poly_mmd(x, y)
    assert kernel_distance(x, y).value == pytest.approx(float(theirs), rel=1e-12)


def test_kernel_distance_in_blocks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = cloud(50, 0), cloud(31, 1)
    whole = kernel_distance(x, y)
    monkeypatch.setattr("trompe.metrics.kernel._ROWS", 7)
    assert kernel_distance(x, y)[:2] == pytest.approx(whole[:2], rel=1e-10)


def test_kernel_distance_is_unbiased_and_its_error_is_the_spread() -> None:
    same = [kernel_distance(cloud(60, i), cloud(60, 10_000 + i)).value for i in range(300)]
    assert abs(np.mean(same)) < 4 * np.std(same) / len(same) ** 0.5
    apart = [kernel_distance(cloud(60, i), cloud(60, 10_000 + i, shift=0.5)) for i in range(300)]
    spread = np.std([score.value for score in apart])
    assert np.mean([score.standard_error for score in apart]) == pytest.approx(spread, rel=0.15)


def test_kernel_distance_needs_two() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        kernel_distance(cloud(1, 0), cloud(5, 1))


# Neighbors


def distances(a: Tensor, b: Tensor) -> np.ndarray:
    difference = a.double().numpy()[:, None] - b.double().numpy()[None]
    return np.sqrt((difference**2).sum(-1))


def radii_written_out(x: Tensor, k: int) -> np.ndarray:
    return np.sort(distances(x, x), axis=1)[:, k]  # column 0 is the image itself


WRITTEN_OUT: dict[Callable[..., Score], Callable[[Tensor, Tensor], float]] = {
    precision: lambda r, g: (distances(g, r) <= radii_written_out(r, 3)).any(1).mean(),
    recall: lambda r, g: (distances(r, g) <= radii_written_out(g, 3)).any(1).mean(),
    density: lambda r, g: (distances(g, r) <= radii_written_out(r, 5)).sum(1).mean() / 5,
    coverage: lambda r, g: (distances(r, g).min(1) <= radii_written_out(r, 5)).mean(),
}
MEASURES = pytest.mark.parametrize("measure", WRITTEN_OUT, ids=lambda f: f.__name__)


@MEASURES
@pytest.mark.parametrize("rows", [2048, 7])
def test_neighbor_measures_are_their_formulas(
    measure: Callable[..., Score], rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trompe.metrics.manifold._ROWS", rows)
    real, generated = cloud(60, 0), cloud(45, 1, shift=0.6)
    expected = WRITTEN_OUT[measure](real, generated)
    score = measure(real, generated)
    assert score.value == pytest.approx(expected, abs=1e-12)
    assert 0.2 < score.value < 0.98  # so that real and generated cannot be mixed up unnoticed
    assert score.standard_error is not None and 0 < score.standard_error < 0.2


def test_a_set_is_all_within_its_own_manifold() -> None:
    x = cloud(80, 0)
    assert precision(x, x).value == recall(x, x).value == coverage(x, x).value == 1
    assert 0.8 < density(x, x).value < 1.4


def test_precision_and_recall_tell_dropped_classes_from_noise() -> None:
    centers = torch.arange(10.0)[:, None] * 8
    real = torch.cat([cloud(40, i) + c for i, c in enumerate(centers)])
    dropped = torch.cat([cloud(80, 50 + i) + c for i, c in enumerate(centers[:5])])
    noisy = torch.cat([cloud(40, 90 + i, scale=3) + c for i, c in enumerate(centers)])
    assert precision(real, dropped).value > 0.8 and recall(real, dropped).value < 0.6
    assert coverage(real, dropped).value < 0.6
    assert precision(real, noisy).value < 0.2 and recall(real, noisy).value > 0.8
    assert density(real, noisy).value < 0.2


def test_one_real_outlier_moves_precision_more_than_density() -> None:
    real, far = cloud(60, 0), cloud(60, 1, shift=6)
    outlier = torch.cat([real, torch.full((1, 6), 5.0)])
    assert precision(real, far).value == density(real, far).value == 0
    assert precision(outlier, far).value > 0.9
    assert density(outlier, far).value < 0.25


def test_neighbor_distances() -> None:
    line = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    assert neighbor_distances(line, 1).tolist() == pytest.approx([1, 1, 2, 4])
    assert neighbor_distances(line, 3).tolist() == pytest.approx([7, 6, 4, 7])
    assert nearest_distances(torch.tensor([[2.0], [6.5]]), line).tolist() == pytest.approx([1, 0.5])
    with pytest.raises(ValueError, match="at least 5 images, not 4"):
        neighbor_distances(line, 4)


def test_memorization_tells_copies_from_new_samples() -> None:
    train, held_out, new = cloud(300, 0), cloud(300, 1), cloud(300, 2)
    copies = train[:300] + 0.05 * cloud(300, 3)
    fresh = memorization(train, held_out, new)
    assert fresh.standard_error is not None
    assert abs(fresh.value) < 3 * fresh.standard_error
    assert memorization(train, held_out, copies).value > 0.45
    assert memorization(train, held_out, new + 5).value < -0.45
