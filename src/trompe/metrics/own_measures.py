"""Measures that a user hands over: what they return, as scores, and what they depend on."""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trompe.engine.randomness import keyed_generator
from trompe.errors import UserError
from trompe.metrics.features import FeatureNetwork
from trompe.metrics.frechet import fit_gaussian
from trompe.metrics.marks import is_per_class
from trompe.metrics.order import random_order
from trompe.metrics.reference import Reference, ReferenceData, extract
from trompe.metrics.score import Score, as_score
from trompe.own_code import describe, is_own, name_of, place_of

_REHEARSED = 64  # real images that a rehearsal looks at


def call(function: Callable[..., Any], reference: Reference, rows: Tensor) -> dict[str, Score]:
    """The scores of a measure, by what is added to its name; nothing for a single one.

    Args:
        function: the measure.
        reference: real images.
        rows: of generated images: their features, and for a measure per class a column of labels.

    Raises:
        ValueError: saying how many images are needed, if there are too few.
        UserError: if the measure has a mistake, or returns no score.
    """
    given = _arguments(function, reference, rows)
    if not is_own(function):
        return {"": function(*given)}
    what = f"metrics: {name_of(function)}"
    _check_signature(function, what, len(given))
    try:
        returned: Any = function(*given)
    except (UserError, MemoryError):
        raise
    except ValueError as error:
        raise ValueError(f"{error} ({place_of(error)})") from error
    except Exception as error:
        if (line := describe(error)) is None:
            raise
        raise UserError(f"{what}: {line}") from error
    if not isinstance(returned, Mapping):
        return {"": as_score(returned, what)}
    for name in returned:
        if not isinstance(name, str) or not name.isidentifier():
            raise UserError(f"{what} returned a mapping with the key {name!r}: use plain words")
    if not returned:
        raise UserError(f"{what} returned an empty mapping: return a number for each name")
    return {name: as_score(value, f"{what}: {name}") for name, value in returned.items()}


def _arguments(
    function: Callable[..., Any], reference: Reference, rows: Tensor
) -> tuple[Reference | Tensor, ...]:
    features = reference.features.shape[1]
    labels = (rows[:, features].long(),) if is_per_class(function) else ()
    return reference, rows[:, :features], *labels


def _check_signature(function: Callable[..., Any], what: str, count: int) -> None:
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError as error:
        labels = " and their labels (N,)" if count > 2 else ""
        raise UserError(
            f"{what} takes {inspect.signature(function)}: a measure takes a "
            f"trompe.metrics.reference.Reference and generated features (N, D){labels}"
        ) from error


def code_sha256(function: Callable[..., Any]) -> str:
    """Hash of the file that a measure is in: values of different code are not compared."""
    return hashlib.sha256(Path(function.__code__.co_filename).read_bytes()).hexdigest()


def rehearsal(
    features: FeatureNetwork, data: ReferenceData, split: str, n_reference: int, n_images: int
) -> tuple[Reference, Tensor]:
    """Features to try a measure on before a run begins, in the numbers that it will get.

    They are those of a few real images, over and over, with a little noise.

    Returns:
        A reference of `n_reference` features at most, and `n_images` others with a column of
        labels, (n_images, D + 1).
    """
    size = data.split_size(split)
    chosen = random_order(size, "rehearsal")[:_REHEARSED]
    few = extract(features, data, split, chosen)
    known = data.gather(split, chosen).labels
    rows = torch.arange(min(n_reference, size)) % len(few)
    real = _disturbed(few[rows], "real")
    others = torch.arange(n_images) % len(few)
    made = _disturbed(few[others], "made")
    names = data.class_names
    gaussian = fit_gaussian(few)
    reference = Reference(real, known[rows], len(names), gaussian, made, features.classifier, names)
    return reference, torch.cat([made, known[others, None].to(made)], 1)


def _disturbed(features: Tensor, purpose: str) -> Tensor:
    noise = torch.randn(features.shape, generator=keyed_generator(0, f"rehearsal {purpose}"))
    return features + 0.01 * features.std() * noise
