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
from trompe.methods.capabilities import Images
from trompe.metrics.feature_comparison import FeatureComparison
from trompe.metrics.features import (
    EfficientNetLite0,
    FeatureNetwork,
    RandomConv,
)
from trompe.metrics.frechet import extrapolated_distance, fit_gaussian, frechet_distance
from trompe.metrics.measures import fd
from trompe.metrics.reference import load_reference
from trompe.networks.pretrained import efficientnet_lite0


def vectors(n: int, dim: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dim, dim, generator=generator, dtype=torch.float64)
    return torch.randn(n, dim, generator=generator, dtype=torch.float64) @ mixing + 0.3 * seed


def by_sqrtm(x: Tensor, y: Tensor) -> float:
    (mean1, cov1), (mean2, cov2) = ((v.numpy().mean(0), np.cov(v.numpy().T)) for v in (x, y))
    root = scipy.linalg.sqrtm(cov1 @ cov2).real
    return float(((mean1 - mean2) ** 2).sum() + np.trace(cov1 + cov2) - 2 * np.trace(root))


def between(x: Tensor, y: Tensor) -> float:
    return float(frechet_distance(fit_gaussian(x), y))


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


@pytest.mark.parametrize(("n", "m"), [(500, 400), (500, 20), (500, 24), (30, 500)])
def test_distance_agrees_with_matrix_square_root(n: int, m: int) -> None:
    first, second = vectors(n, 24, 1), vectors(m, 24, 2)
    # With fewer vectors than dimensions sqrtm itself is good to the root of float64's precision.
    tolerance = 1e-9 if min(n, m) > 24 else 1e-5
    assert between(first, second) == pytest.approx(by_sqrtm(first, second), rel=tolerance)


def test_distance_agrees_with_torchmetrics() -> None:
    from torchmetrics.image.fid import _compute_fid

    first, second = vectors(300, 24, 1), vectors(280, 24, 2)
    theirs = _compute_fid(first.mean(0), first.T.cov(), second.mean(0), second.T.cov())
    assert between(first, second) == pytest.approx(float(theirs), rel=1e-6)


def test_distance_is_exact_for_rank_deficient_covariances() -> None:
    # In orthogonal subspaces tr sqrt(S1 S2) = 0; in one subspace, scaled by 4, it is 2 tr S1.
    some = vectors(200, 10, 3)
    some = some - some.mean(0)
    nothing = torch.zeros(200, 10, dtype=torch.float64)
    first, second = torch.cat([some, nothing], 1), torch.cat([nothing, some], 1)
    trace = float(some.T.cov().trace())
    assert between(first, second) == pytest.approx(2 * trace, rel=1e-12)
    assert between(first, 2 * first) == pytest.approx(trace, rel=1e-7)


def test_distance_is_symmetric_and_zero_to_itself() -> None:
    for n in (10, 500):  # rank-deficient, and not
        first, second = vectors(n, 24, 6), vectors(300, 24, 7)
        assert between(first, second) == pytest.approx(between(second, first), rel=1e-9)
        assert 0 <= between(first, first) < 1e-6


def test_distance_needs_two_images() -> None:
    with pytest.raises(ValueError, match="at least 2 images, not 1"):
        fit_gaussian(vectors(1, 4, 0))
    with pytest.raises(ValueError, match="at least 20 images, not 19"):
        extrapolated_distance(fit_gaussian(vectors(30, 4, 0)), vectors(19, 4, 0))


def test_extrapolation_takes_away_the_bias_of_few_images() -> None:
    reference = fit_gaussian(torch.randn(40_000, 16, generator=torch.Generator().manual_seed(9)))
    plain, extrapolated = [], []
    for seed in range(20):
        few = torch.randn(400, 16, generator=torch.Generator().manual_seed(seed))
        plain.append(float(frechet_distance(reference, few)))
        extrapolated.append(extrapolated_distance(reference, few))
    assert np.mean(plain) > 0.05
    assert abs(np.mean([s.value for s in extrapolated])) < np.mean(plain) / 5
    assert all(s.standard_error > 0 for s in extrapolated)


class Batch(NamedTuple):
    images: Tensor
    labels: Tensor


class Photographs:
    """Data that counts how often it is asked."""

    class_names = ("one", "other")

    def __init__(self, fingerprint: str = "abc", some: Tensor | None = None) -> None:
        self.fingerprint = fingerprint
        self.images = images(40) if some is None else some
        self.gathered: list[int] = []

    def split_size(self, split: str) -> int:
        return {"train": len(self.images), "validation": 0, "test": 1}[split]

    def gather(self, split: str, indices: Tensor) -> Batch:
        self.gathered += indices.tolist()
        return Batch(self.images[indices], indices % 2)


def comparison(features: FeatureNetwork, n: int, **options: object) -> FeatureComparison:
    return FeatureComparison(features, ["fd"], n, 10_000, **options)  # type: ignore[arg-type]


def distance(features: FeatureNetwork, generated: Tensor, reference: Tensor, batch: int) -> float:
    metric = comparison(features, len(generated))
    metric.prepare(Photographs(some=reference))
    for numbers in torch.arange(len(generated)).split(batch):
        metric.update(Images(generated[numbers]), numbers)
    return metric.compute()[f"fd_{features.name}"].value


def test_a_set_has_no_distance_from_itself_and_batches_do_not_matter() -> None:
    features, some, other = RandomConv(dim=16), images(96), images(96, seed=1)
    assert distance(features, some, some, 96) < 1e-6
    assert distance(features, some, some, 17) < 1e-6
    whole = distance(features, some, other, 96)
    assert whole > 1e-4
    assert distance(features, some, other, 17) == pytest.approx(whole, rel=1e-5)


def test_states_of_processes_add_up_in_any_division() -> None:
    features, some = RandomConv(dim=16), images(64)
    parts, whole = [comparison(features, 64) for _ in range(3)], comparison(features, 64)
    numbers = torch.arange(64).split(16)
    for i, block in enumerate(numbers):
        parts[i % 2].update(Images(some[block]), block)  # the third has none
        whole.update(Images(some[block]), block)
    for name, reduction in whole._reductions.items():
        states = torch.stack([getattr(part, name) for part in parts])
        assert torch.equal(reduction(states), getattr(whole, name))


def test_missing_and_double_images_are_noticed_and_reset_keeps_the_reference() -> None:
    some, numbers = images(8), torch.arange(8)
    metric = comparison(RandomConv(dim=16), 8)
    metric.update(Images(some), numbers)
    with pytest.raises(RuntimeError, match="call prepare first"):
        metric.compute()
    metric.prepare(Photographs(some=some))
    assert metric.compute()["fd_random_conv"].value < 1e-6
    metric.reset()
    metric.update(Images(some[:7]), numbers[:7])
    with pytest.raises(RuntimeError, match="1 images are missing"):
        metric.compute()
    metric.update(Images(some[6:]), numbers[6:])
    with pytest.raises(RuntimeError, match="1 images are missing or were given twice"):
        metric.compute()


def test_too_few_images_for_a_measure_are_said_in_one_line() -> None:
    metric = FeatureComparison(RandomConv(dim=16), ["fd_infinity"], 8, 100)
    metric.prepare(Photographs())
    metric.update(Images(images(8)), torch.arange(8))
    with pytest.raises(UserError, match=r"^metrics: fd_infinity: .* at least 20 images, not 8$"):
        metric.compute()
    with pytest.raises(UserError, match="measures=fid is not known: choose one of coverage"):
        FeatureComparison(RandomConv(dim=16), ["fid"], 8, 100)


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

    network = efficientnet_lite0().eval()
    for photograph, labels in ((data.chelsea(), {281, 282, 285}), (data.coffee(), {967, 968})):
        pixels = torch.from_numpy(photograph).permute(2, 0, 1)[None].float()
        with torch.no_grad():
            logits = network((torch.nn.functional.interpolate(pixels, (224, 224)) - 127) / 128)
        assert int(logits.argmax()) in labels


def test_stage4_and_head_are_the_classifiers_own() -> None:
    network, some = efficientnet_lite0().eval(), images(4, 96)
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
        gray = images(3)[:, :1]
        assert torch.equal(features(gray), features(gray.expand(-1, 3, -1, -1)))
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
    names = [list(comparison(features, 8).protocols()) for features in kinds[:2]]
    assert names == [["fd_efflite0"], ["fd_efflite0_head"]]


def test_reference_is_cached_by_content(tmp_path: Path) -> None:
    features, data = RandomConv(dim=8), Photographs()
    first = load_reference(features, data, "train", 16, tmp_path)
    assert len(set(data.gathered)) == 16
    asked = len(data.gathered)
    again = load_reference(features, data, "train", 16, tmp_path)
    assert len(data.gathered) == asked
    assert len(again) == 16 and torch.equal(again.gaussian.root, first.gaussian.root)
    uncached = load_reference(features, Photographs(), "train", 16)
    assert torch.equal(again.features, uncached.features)
    assert torch.equal(again.labels, uncached.labels) and again.classes == 2
    others = [
        (RandomConv(dim=8, seed=1), data, 16),
        (features, Photographs("abd"), 16),
        (features, data, 17),
    ]
    for number, (other_features, other_data, n) in enumerate(others):
        load_reference(other_features, other_data, "train", n, tmp_path)
        assert len(list((tmp_path / "reference").iterdir())) == number + 2


@pytest.mark.parametrize("damage", [b"", b"not an archive", None])
def test_damaged_cache_file_is_computed_again(tmp_path: Path, damage: bytes | None) -> None:
    features, data = RandomConv(dim=8), Photographs()
    first = load_reference(features, data, "train", 16, tmp_path)
    first_count = len(data.gathered)
    (path,) = (tmp_path / "reference").iterdir()
    path.write_bytes(path.read_bytes()[:-50] if damage is None else damage)
    again = load_reference(features, data, "train", 16, tmp_path)
    assert torch.equal(again.gaussian.root, first.gaussian.root)
    assert len(data.gathered) == 2 * first_count
    load_reference(features, data, "train", 16, tmp_path)
    assert len(data.gathered) == 2 * first_count


def test_reference_takes_the_whole_split_or_says_what_is_missing(tmp_path: Path) -> None:
    features, data = RandomConv(dim=8), Photographs()
    assert len(load_reference(features, data, "train", 1000, tmp_path)) == 40
    assert set(data.gathered) == set(range(40))
    with pytest.raises(UserError, match="split 'test' \\(1 images\\)"):
        load_reference(features, data, "test", 1000, tmp_path)


def test_prepared_comparison_has_a_card(tmp_path: Path) -> None:
    metric = comparison(RandomConv(dim=8), 40, cache_dir=tmp_path)
    data = Photographs()
    metric.prepare(data)
    card = metric.protocols()["fd_random_conv"]
    assert json.loads(json.dumps(card)) == card
    assert card["measure"] == f"{fd.__module__}.fd"
    assert (card["features"], card["data"], card["n_reference"]) == ("random_conv", "abc", 40)
