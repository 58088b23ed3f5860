"""The Fréchet distance against scipy, its features, and the cache of reference statistics."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from trompe.errors import UserError
from trompe.metrics.features import (
    EfficientNetLite0,
    FeatureNetwork,
    RandomConv,
    _efficientnet_lite0,
)
from trompe.metrics.frechet import FrechetDistance, frechet_distance
from trompe.metrics.reference import reference_statistics
from trompe.metrics.statistics import mean_and_covariance


def gaussian(n: int, dim: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dim, dim, generator=generator, dtype=torch.float64)
    x = torch.randn(n, dim, generator=generator, dtype=torch.float64) @ mixing + 0.3 * seed
    return mean_and_covariance(n, x.sum(0), x.T @ x)


def by_sqrtm(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> float:
    root = scipy.linalg.sqrtm((cov1 @ cov2).numpy()).real
    return float(((mean1 - mean2) ** 2).sum() + torch.trace(cov1 + cov2)) - 2 * np.trace(root)


def images(n: int = 128, size: int = 32, seed: int = 0) -> Tensor:
    """Patches of the photographs that come with scikit-image, uint8 (n, 3, size, size)."""
    from skimage import data

    photographs = [torch.from_numpy(p()) for p in (data.astronaut, data.coffee, data.chelsea)]
    generator = torch.Generator().manual_seed(seed)
    patches = []
    for i in range(n):
        photograph = photographs[i % 3]
        room = torch.tensor(photograph.shape[:2]) - size
        y, x = (torch.rand(2, generator=generator) * room).long().tolist()
        patches.append(photograph[y : y + size, x : x + size].permute(2, 0, 1))
    return torch.stack(patches)


def test_mean_and_covariance_are_numpys() -> None:
    x = np.random.default_rng(0).normal(5.0, 2.0, (50, 7))
    mean, covariance = mean_and_covariance(50, torch.tensor(x.sum(0)), torch.tensor(x.T @ x))
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(covariance, np.cov(x, rowvar=False), rtol=1e-10, atol=1e-12)


def test_distance_agrees_with_matrix_square_root() -> None:
    first, second = gaussian(500, 24, 1), gaussian(400, 24, 2)
    assert float(frechet_distance(*first, *second)) == pytest.approx(
        by_sqrtm(*first, *second), rel=1e-9
    )


def test_distance_is_exact_for_rank_deficient_covariances() -> None:
    # In orthogonal subspaces tr sqrt(S1 S2) = 0; in one subspace, scaled by 4, it is 2 tr S1.
    _, full = gaussian(200, 10, 3)
    zeros = torch.zeros(20, dtype=torch.float64)
    first, second = torch.zeros(2, 20, 20, dtype=torch.float64)
    first[:10, :10], second[10:, 10:] = full, full
    trace = float(full.trace())
    orthogonal = frechet_distance(zeros, first, zeros, second)
    assert float(orthogonal) == pytest.approx(2 * trace, rel=1e-12)
    scaled = frechet_distance(zeros, first, zeros, 4 * first)
    assert float(scaled) == pytest.approx(trace, rel=1e-7)
    few, many = gaussian(8, 24, 4), gaussian(500, 24, 5)
    # Rank 7 of 24: here sqrtm itself is good to about the square root of float64's precision.
    assert float(frechet_distance(*few, *many)) == pytest.approx(by_sqrtm(*few, *many), rel=1e-5)


def test_distance_is_symmetric_and_zero_to_itself() -> None:
    for n in (10, 500):  # rank-deficient, and not
        first, second = gaussian(n, 24, 6), gaussian(300, 24, 7)
        there, back = frechet_distance(*first, *second), frechet_distance(*second, *first)
        assert float(there) == pytest.approx(float(back), rel=1e-9)
        assert 0 <= float(frechet_distance(*first, *first)) < 1e-6


def distance(features: FeatureNetwork, generated: Tensor, reference: Tensor, batch: int) -> float:
    metric = FrechetDistance(features, n_images=len(generated), n_reference=len(reference))
    metric.set_reference(metric.reference_statistics(reference.split(batch)))
    for some in generated.split(batch):
        metric.update(some)
    return float(metric.compute())


def test_a_set_has_no_distance_from_itself_and_batches_do_not_matter() -> None:
    features, some, other = RandomConv(dim=16), images(96), images(96, seed=1)
    assert distance(features, some, some, 96) < 1e-6
    assert distance(features, some, some, 17) < 1e-6
    whole = distance(features, some, other, 96)
    assert whole > 1e-4
    assert distance(features, some, other, 17) == pytest.approx(whole, rel=1e-5)


def test_states_of_two_processes_add_up() -> None:
    features, some = RandomConv(dim=16), images(64)
    one, two, both = (FrechetDistance(features, 64, 64) for _ in range(3))
    one.update(some[:40])
    two.update(some[40:])
    two.update(some[:0])
    both.update(some)
    for name, reduction in both._reductions.items():
        states = torch.stack([getattr(one, name), getattr(two, name)])
        torch.testing.assert_close(reduction(states), getattr(both, name), rtol=1e-6, atol=1e-6)


def test_reset_keeps_the_reference() -> None:
    metric = FrechetDistance(RandomConv(dim=16), 64, 64)
    with pytest.raises(RuntimeError, match="set_reference"):
        metric.update(images(8)), metric.compute()
    metric.set_reference(metric.reference_statistics([images(64)]))
    metric.reset()
    metric.update(images(64))
    assert float(metric.compute()) < 1e-6


def test_embedded_features_rise_with_noise_and_blur() -> None:
    features, reference = EfficientNetLite0(), images(192)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(reference.shape, generator=generator)
    values = [
        distance(features, (reference + scale * noise).round().clamp(0, 255).byte(), reference, 64)
        for scale in (0, 4, 12, 36)
    ]
    assert values[0] < 1e-6 and values == sorted(values) and values[1] > 0.1
    blurred = torch.nn.functional.avg_pool2d(reference.float(), 3, 1, 1).byte()
    assert distance(features, blurred, reference, 64) > values[1]


def test_embedded_network_knows_cats_and_coffee() -> None:
    # The weights are loaded by order, not by name: that they stand where they belong shows in
    # what the classifier sees. ImageNet: 281, 282, 285 are cats, 967 espresso, 968 cup.
    from skimage import data

    network = _efficientnet_lite0().eval()
    for photograph, labels in ((data.chelsea(), {281, 282, 285}), (data.coffee(), {967, 968})):
        pixels = torch.from_numpy(photograph).permute(2, 0, 1)[None].float()
        with torch.no_grad():
            logits = network((torch.nn.functional.interpolate(pixels, (224, 224)) - 127) / 128)
        assert int(logits.argmax()) in labels


def test_stage4_and_head_are_the_classifiers_own() -> None:
    network, some = _efficientnet_lite0().eval(), images(4, 96)
    with torch.no_grad():
        scaled = (some.float() - 127) / 128
        stages = network.blocks[:5](network.bn1(network.conv_stem(scaled)))
        head = network.forward_head(network.forward_features(scaled), pre_logits=True)
    torch.testing.assert_close(EfficientNetLite0()(some), stages.mean((2, 3)))
    torch.testing.assert_close(EfficientNetLite0("head")(some), head)


def test_features_have_the_shapes_they_state() -> None:
    for features in (EfficientNetLite0(), EfficientNetLite0("head", 64), RandomConv(dim=5)):
        output = features(images(3))
        assert output.shape == (3, features.dim) and output.dtype == torch.float32
        grey = images(3)[:, :1]
        assert torch.equal(features(grey), features(grey.expand(-1, 3, -1, -1)))
        assert not features.train().training and not output.requires_grad
        with pytest.raises(ValueError, match="uint8"):
            features(images(3).float())
    with pytest.raises(UserError, match="stage4 or head"):
        EfficientNetLite0("stage5")


def test_fingerprint_tells_features_apart() -> None:
    kinds = [
        EfficientNetLite0(),
        EfficientNetLite0("head"),
        EfficientNetLite0(input_size=64),
        RandomConv(),
        RandomConv(seed=1),
    ]
    assert len({features.fingerprint for features in kinds}) == len(kinds)
    assert EfficientNetLite0().fingerprint == kinds[0].fingerprint
    names = [FrechetDistance(features, 8, 8).name for features in kinds[:2]]
    assert names == ["fd_efflite0", "fd_efflite0_head"]


class Batch(NamedTuple):
    images: Tensor
    labels: Tensor


class Photographs:
    """Data that counts how often it is asked."""

    def __init__(self, fingerprint: str = "abc") -> None:
        self.fingerprint = fingerprint
        self.images = images(40)
        self.gathered: list[int] = []

    def split_size(self, split: str) -> int:
        return {"train": 40, "test": 1}[split]

    def gather(self, split: str, indices: Tensor) -> Batch:
        self.gathered += indices.tolist()
        return Batch(self.images[indices], torch.zeros(len(indices), dtype=torch.long))


def test_reference_is_cached_by_content(tmp_path: Path) -> None:
    features, data = RandomConv(dim=8), Photographs()
    first = reference_statistics(features, data, "train", 16, tmp_path)
    assert len(data.gathered) == len(set(data.gathered)) == 16
    again = reference_statistics(features, data, "train", 16, tmp_path)
    assert len(data.gathered) == 16
    assert again.n == 16 and torch.equal(again.covariance, first.covariance)
    uncached = reference_statistics(features, Photographs(), "train", 16)
    assert torch.equal(again.mean, uncached.mean)
    others = [
        (RandomConv(dim=8, seed=1), data, 16),
        (features, Photographs("abd"), 16),
        (features, data, 17),
    ]
    for number, (other_features, other_data, n) in enumerate(others):
        reference_statistics(other_features, other_data, "train", n, tmp_path)
        assert len(list((tmp_path / "reference").iterdir())) == number + 2


@pytest.mark.parametrize("damage", [b"", b"not an archive", None])
def test_damaged_cache_file_is_computed_again(tmp_path: Path, damage: bytes | None) -> None:
    features, data = RandomConv(dim=8), Photographs()
    first = reference_statistics(features, data, "train", 16, tmp_path)
    (path,) = (tmp_path / "reference").iterdir()
    path.write_bytes(path.read_bytes()[:-50] if damage is None else damage)
    again = reference_statistics(features, data, "train", 16, tmp_path)
    assert torch.equal(again.covariance, first.covariance) and len(data.gathered) == 32
    reference_statistics(features, data, "train", 16, tmp_path)
    assert len(data.gathered) == 32


def test_reference_takes_the_whole_split_or_says_what_is_missing(tmp_path: Path) -> None:
    features, data = RandomConv(dim=8), Photographs()
    assert reference_statistics(features, data, "train", 1000, tmp_path).n == 40
    assert data.gathered == list(range(40))
    with pytest.raises(UserError, match="split 'test' \\(1 images\\)"):
        reference_statistics(features, data, "test", 1000, tmp_path)


def test_prepared_metric_has_a_card(tmp_path: Path) -> None:
    metric = FrechetDistance(RandomConv(dim=8), 40, 1000, cache_dir=tmp_path)
    data = Photographs()
    metric.prepare(data)
    metric.update(data.images)
    assert float(metric.compute()) < 1e-6
    card = metric.protocol()
    assert json.loads(json.dumps(card)) == card
    assert (card["metric"], card["data"], card["n_reference"]) == ("fd_random_conv", "abc", 40)
