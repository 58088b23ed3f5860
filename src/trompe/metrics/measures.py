"""Measures: numbers that compare generated with real images in a feature space.

Each is a function of a `Reference` and generated features (N, D), returning a `Score`; its name is
what `measures` of `conf/metrics/*.yaml` lists and what the record calls it, before the name of the
features (``fd_efflite0``). Lower is better, unless it is marked `higher_is_better`.

Raises, all of them:
    ValueError: saying how many images are needed, if there are too few.
"""

import torch
from torch import Tensor

from trompe.metrics import frechet, inception, kernel, manifold
from trompe.metrics.marks import higher_is_better, needs
from trompe.metrics.order import shuffled
from trompe.metrics.reference import Reference
from trompe.metrics.score import Score


def fd(reference: Reference, generated: Tensor) -> Score:
    """Fréchet distance (Heusel et al. 2017)."""
    count, features = generated.shape
    note = None
    if count <= features:
        note = (
            f"{count} images are too few for a covariance of {features} features, which needs "
            f"{features + 1}: fd is far too high; kd is not"
        )
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
