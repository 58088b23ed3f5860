"""Marks on measures: which way is better, and what a measure takes and requires."""

from collections.abc import Callable
from typing import Any, TypeVar

from trompe.metrics.reference import Reference

Measure = TypeVar("Measure", bound=Callable[..., Any])


def higher_is_better(measure: Measure) -> Measure:
    """Mark a measure for which higher is better."""
    measure.higher_is_better = True  # type: ignore[attr-defined]
    return measure


def per_class(measure: Measure) -> Measure:
    """Mark a measure that also takes the classes (N,), int64, that images were generated for."""
    measure.per_class = True  # type: ignore[attr-defined]
    return measure


def is_per_class(measure: Callable[..., Any]) -> bool:
    """Whether a measure is marked so."""
    return bool(getattr(measure, "per_class", False))


def needs(attribute: str, otherwise: str) -> Callable[[Measure], Measure]:
    """Mark a measure that has no meaning for a `Reference` whose `attribute` is None.

    Args:
        attribute: of the `Reference`.
        otherwise: what is missing then, and how to supply it.
    """

    def mark(measure: Measure) -> Measure:
        measure.needs = (attribute, otherwise)  # type: ignore[attr-defined]
        return measure

    return mark


def undefined(measure: Callable[..., Any], reference: Reference) -> str | None:
    """Why a measure has no meaning for a reference; None if it has one."""
    attribute, otherwise = getattr(measure, "needs", (None, ""))
    missing = attribute is not None and getattr(reference, attribute) is None
    return otherwise if missing else None
