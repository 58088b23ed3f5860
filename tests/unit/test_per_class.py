"""Measures per class against the same measure of each class's features."""

import pytest
import torch
from torch import Tensor

from trompe.errors import UserError
from trompe.methods.capabilities import Images, LabeledLatents
from trompe.metrics.feature_comparison import FeatureComparison
from trompe.metrics.features import RandomConv
from trompe.metrics.frechet import fit_gaussian, frechet_distance
from trompe.metrics.kernel import kernel_distance
from trompe.metrics.manifold import precision
from trompe.metrics.marks import per_class
from trompe.metrics.measures import fd_per_class, kd_per_class, precision_per_class
from trompe.metrics.own_measures import call
from trompe.metrics.reference import Reference

DIM = 4


def cloud(count: int, seed: int, shift: float = 0.0) -> Tensor:
    return torch.randn(count, DIM, generator=torch.Generator().manual_seed(seed)) + shift


def reference(features: Tensor, labels: Tensor) -> Reference:
    names = ["ant", "bee", "cow"]
    return Reference(features, labels, 3, fit_gaussian(features), class_names=names)


@pytest.fixture
def real() -> Reference:
    labels = torch.arange(90) % 3
    return reference(cloud(90, 0) + 5 * labels[:, None], labels)


def test_they_are_the_means_over_classes(real: Reference) -> None:
    labels = torch.arange(60) % 3
    made = cloud(60, 1, 0.3) + 5 * labels[:, None]
    pairs = [(real.of_class(i), made[labels == i]) for i in range(3)]
    fds = [float(frechet_distance(fit_gaussian(a), b)) for a, b in pairs]
    found = fd_per_class(real, made, labels)
    assert found.value == pytest.approx(sum(fds) / 3)
    assert found.note is None and found.standard_error is None
    assert found.classes == pytest.approx(dict(zip(("ant", "bee", "cow"), fds, strict=True)))
    kds = [kernel_distance(a, b) for a, b in pairs]
    found = kd_per_class(real, made, labels)
    assert found.value == pytest.approx(sum(score.value for score in kds) / 3)
    error = sum((score.standard_error or 0) ** 2 for score in kds) ** 0.5 / 3
    assert found.standard_error == pytest.approx(error)
    shares = [precision(a, b).value for a, b in pairs]
    assert precision_per_class(real, made, labels).value == pytest.approx(sum(shares) / 3)


def test_images_of_another_class_than_they_were_made_for_are_seen(real: Reference) -> None:
    labels = torch.arange(90) % 3
    right, wrong = real.features + 0.01, real.features.roll(1, 0) + 0.01
    assert precision_per_class(real, right, labels).value == 1
    assert precision_per_class(real, wrong, labels).value == 0
    assert fd_per_class(real, right, labels).value < 0.01
    assert fd_per_class(real, wrong, labels).value > 50


def test_a_class_with_too_few_images_is_left_out_and_named(real: Reference) -> None:
    labels = torch.tensor([0] * 10 + [1] * 3 + [2])
    made = cloud(14, 2)
    found = fd_per_class(real, made, labels)
    assert found.classes is not None and set(found.classes) == {"ant", "bee"}
    assert found.note == (
        "1 of 3 classes are left out: they have fewer than 2 images among those that are compared; "
        "3 images of a class are too few for a covariance of 4 features, which needs 5: "
        "fd_per_class is far too high; kd_per_class is not"
    )
    assert set(precision_per_class(real, made, labels).classes or {}) == {"ant"}
    with pytest.raises(ValueError, match="no class has 2 real and 2 generated images"):
        kd_per_class(real, made[:3], torch.tensor([0, 1, 2]))


def test_labels_are_a_column_of_the_rows() -> None:
    options = {"n_images": 6, "n_reference": 6}
    with_labels = FeatureComparison(RandomConv(), ["fd", "kd_per_class"], **options)
    without = FeatureComparison(RandomConv(), ["fd"], **options)
    assert with_labels.needs == ("labels",) and without.needs == ()
    images = Images(torch.zeros(2, 3, 16, 16, dtype=torch.uint8))
    inputs = LabeledLatents(torch.zeros(2, 3), torch.tensor([7, 3]))
    rows = with_labels.measure_rows(images, inputs)
    assert rows[:, -1].tolist() == [7, 3]
    assert torch.equal(rows[:, :-1], without.measure_rows(images, inputs))
    with pytest.raises(UserError, match="needs the classes that images were generated for"):
        with_labels.measure_rows(images, None)


@per_class
def agreement(reference: Reference, generated: Tensor, labels: Tensor) -> float:
    return float((reference.labels[: len(labels)] == labels).double().mean())


def test_a_measure_of_one_s_own_is_given_the_labels(real: Reference) -> None:
    rows = torch.cat([cloud(4, 3), torch.tensor([[0.0], [1], [2], [2]])], 1)
    assert call(agreement, real, rows)[""].value == 0.75
    assert call(lambda reference, generated: generated.shape[1], real, rows)[""].value == DIM
