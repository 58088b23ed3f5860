"""A measure of each class's images, and its mean: what a conditional model makes of classes."""

from collections.abc import Callable

import torch
from torch import Tensor

from trompe.metrics.reference import Reference
from trompe.metrics.score import Score


def mean_over_classes(
    measure: Callable[[int, Tensor], Score],
    reference: Reference,
    generated: Tensor,
    labels: Tensor,
    least: int,
) -> Score:
    """The mean of a measure over the classes, each of them with the same weight.

    A class with too few images is left out, and a note says so.

    Args:
        measure: of a class's number and its generated features (M, D).
        reference: with labels.
        generated: features (N, D).
        labels: int64 (N,), the classes that they were made for.
        least: images of a class that the measure needs, real and generated.

    Returns:
        with the classes' own values, and a standard error if all of them have one.

    Raises:
        ValueError: if every class has too few.
    """
    counts = [
        torch.bincount(rows.cpu(), minlength=reference.classes)
        for rows in (reference.labels, labels)
    ]
    enough = torch.minimum(*counts) >= least
    scores = {
        label: measure(label, generated[labels == label])
        for label in enough.nonzero().flatten().tolist()
    }
    if not scores:
        raise ValueError(f"no class has {least} real and {least} generated images")
    values = [score.value for score in scores.values()]
    errors = [score.standard_error for score in scores.values()]
    known = [error for error in errors if error is not None]
    error = sum(e**2 for e in known) ** 0.5 / len(values) if len(known) == len(values) else None
    missing = reference.classes - len(scores)
    note = (
        f"{missing} of {reference.classes} classes are left out: they have fewer than {least} "
        "images among those that are compared"
    )
    named = {reference.name_of(label): score.value for label, score in scores.items()}
    return Score(sum(values) / len(values), error, note if missing else None, named)
