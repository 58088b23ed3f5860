"""Measures: numbers that compare generated with real images in a feature space.

Each is a function of a `Reference` and generated features (N, D), returning a `Score`; its name is
what `measures` of `conf/metrics/*.yaml` lists and what the record calls it, before the name of the
features (``fd_efflite0``).

Raises, all of them:
    ValueError: saying how many images are needed, if there are too few.
"""

import torch
from torch import Tensor

from trompe.metrics import frechet, kernel, manifold
from trompe.metrics.reference import Reference
from trompe.metrics.score import Score


def fd(reference: Reference, generated: Tensor) -> Score:
    """Fréchet distance (Heusel et al. 2017)."""
    return Score(float(frechet.frechet_distance(reference.gaussian, generated)))


def fd_infinity(reference: Reference, generated: Tensor) -> Score:
    """Fréchet distance extrapolated to infinitely many images (Chong and Forsyth 2020)."""
    return frechet.extrapolated_distance(reference.gaussian, generated)


def kd(reference: Reference, generated: Tensor) -> Score:
    """Kernel distance, unbiased (Bińkowski et al. 2018)."""
    return kernel.kernel_distance(reference.features, generated)


def precision(reference: Reference, generated: Tensor) -> Score:
    """Share of generated images that look real (Kynkäänniemi et al. 2019)."""
    return manifold.precision(reference.features, generated)


def recall(reference: Reference, generated: Tensor) -> Score:
    """Share of real images that could have been generated (Kynkäänniemi et al. 2019)."""
    return manifold.recall(reference.features, generated)


def density(reference: Reference, generated: Tensor) -> Score:
    """How densely generated images lie around real ones (Naeem et al. 2020)."""
    return manifold.density(reference.features, generated)


def coverage(reference: Reference, generated: Tensor) -> Score:
    """Share of real images with a generated one nearby (Naeem et al. 2020)."""
    return manifold.coverage(reference.features, generated)


def memorisation(reference: Reference, generated: Tensor) -> Score:
    """Excess of generated images that lie nearer to the reference than held-out ones do."""
    if reference.held_out is None:
        raise ValueError("memorisation needs held-out images: set data.validation_fraction")
    return manifold.memorisation(reference.features, reference.held_out, generated)


def modes(reference: Reference, generated: Tensor) -> Score:
    """Share of the reference's classes that are generated.

    A generated image is of the class of its nearest real neighbour. A class counts as generated
    when it has at least a tenth of the images that an equal share would give it.
    """
    neighbours = [
        torch.cdist(some.double(), reference.features.double()).argmin(1)
        for some in generated.split(2048)
    ]
    counts = torch.bincount(reference.labels[torch.cat(neighbours)], minlength=reference.classes)
    present = counts >= max(1, len(generated) / (10 * reference.classes))
    return Score(float(present.double().mean()))
