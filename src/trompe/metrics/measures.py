"""Measures: numbers that compare generated with real images in a feature space.

Each is a function of a `Reference` and generated features (N, D), returning a `Score`; its name is
what `measures` of `conf/metrics/*.yaml` lists and what the record calls it, before the name of the
features (``fd_efflite0``). Lower is better, unless it is marked `higher_is_better`. One that is
marked `per_class` also takes the classes that images were generated for, of a conditional model.

Raises, all of them:
    ValueError: saying how many images are needed, if there are too few.
"""

import torch
from torch import Tensor

from trompe.metrics import frechet, inception, kernel, manifold
from trompe.metrics.marks import higher_is_better, needs, per_class
from trompe.metrics.order import shuffled
from trompe.metrics.per_class import mean_over_classes
from trompe.metrics.reference import Reference
from trompe.metrics.score import Score


def fd(reference: Reference, generated: Tensor) -> Score:
    """Fréchet distance (Heusel et al. 2017)."""
    note = _too_few(len(generated), generated.shape[1], "fd is far too high; kd is not")
    return Score(float(frechet.frechet_distance(reference.gaussian, generated)), None, note)


def fd_infinity(reference: Reference, generated: Tensor) -> Score:
    """Fréchet distance extrapolated to infinitely many images (Chong and Forsyth 2020)."""
    return frechet.extrapolated_distance(reference.gaussian, shuffled(generated))


def kd(reference: Reference, generated: Tensor) -> Score:
    """Kernel distance, unbiased (Bińkowski et al. 2018)."""
    return kernel.kernel_distance(reference.features, generated)


@higher_is_better
def precision(reference: Reference, generated: Tensor) -> Score:
    """Share of generated images that look real (Kynkäänniemi et al. 2019)."""
    return manifold.precision(reference.features, generated)


@higher_is_better
def recall(reference: Reference, generated: Tensor) -> Score:
    """Share of real images that could have been generated (Kynkäänniemi et al. 2019)."""
    return manifold.recall(reference.features, generated)


@higher_is_better
def density(reference: Reference, generated: Tensor) -> Score:
    """How densely generated images lie around real ones (Naeem et al. 2020)."""
    return manifold.density(reference.features, generated)


@higher_is_better
def coverage(reference: Reference, generated: Tensor) -> Score:
    """Share of real images with a generated one nearby (Naeem et al. 2020)."""
    return manifold.coverage(reference.features, generated)


@needs("held_out", "there are no held-out images: set data.validation_fraction")
def memorization(reference: Reference, generated: Tensor) -> Score:
    """Excess of generated images that lie nearer to the reference than held-out ones do."""
    assert reference.held_out is not None
    return manifold.memorization(reference.features, reference.held_out, generated)


@higher_is_better
@needs("classifier", "it is defined on the classes of Inception: features=inception")
def inception_score(reference: Reference, generated: Tensor) -> Score:
    """Inception Score (Salimans et al. 2016): a clear class for each image, many classes."""
    assert reference.classifier is not None
    logits = shuffled(generated).double() @ reference.classifier.double().T
    return inception.inception_score(logits)


@higher_is_better
def modes(reference: Reference, generated: Tensor) -> Score:
    """Share of the reference's classes that are generated.

    A generated image has the class of its nearest real neighbor. A class counts as generated
    when it has at least a tenth of the images that an equal share would give it.
    """
    neighbors = [
        torch.cdist(some.double(), reference.features.double()).argmin(1)
        for some in generated.split(2048)
    ]
    counts = torch.bincount(reference.labels[torch.cat(neighbors)], minlength=reference.classes)
    present = counts >= max(1, len(generated) / (10 * reference.classes))
    return Score(float(present.double().mean()))


@per_class
def fd_per_class(reference: Reference, generated: Tensor, labels: Tensor) -> Score:
    """Intra-class Fréchet distance (Miyato and Koyama 2018, sec. 5): each, and the mean."""

    def one(label: int, made: Tensor) -> Score:
        gaussian = reference.gaussian_of_class(label)
        return Score(float(frechet.frechet_distance(gaussian, made)))

    score = mean_over_classes(one, reference, generated, labels, least=2)
    fewest = int(min(n for n in torch.bincount(labels.cpu()).tolist() if n >= 2))
    told = "fd_per_class is far too high; kd_per_class is not"
    notes = [score.note, _too_few(fewest, generated.shape[1], told, " of a class")]
    return score._replace(note="; ".join(filter(None, notes)) or None)


@per_class
def kd_per_class(reference: Reference, generated: Tensor, labels: Tensor) -> Score:
    """Kernel distance of each class, and the mean: for classes of few images."""

    def one(label: int, made: Tensor) -> Score:
        return kernel.kernel_distance(reference.of_class(label), made)

    return mean_over_classes(one, reference, generated, labels, least=2)


@higher_is_better
@per_class
def precision_per_class(reference: Reference, generated: Tensor, labels: Tensor) -> Score:
    """Share of generated images that look like real ones of their class: each, and the mean."""

    def one(label: int, made: Tensor) -> Score:
        return manifold.precision(reference.of_class(label), made)

    return mean_over_classes(one, reference, generated, labels, least=4)


def _too_few(count: int, features: int, told: str, of_what: str = "") -> str | None:
    if count > features:
        return None
    return (
        f"{count} images{of_what} are too few for a covariance of {features} features, which needs "
        f"{features + 1}: {told}"
    )
