"""A metric's value with its uncertainty, where known."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from trompe.engine.randomness import keyed_generator
from trompe.errors import UserError

# Efron and Tibshirani 1993, sec. 6.4: even 25 replications are usually informative.
_REPLICATIONS = 25


class Score(NamedTuple):
    """A value, its standard error if one is known, and what a reader must know, if anything.

    `classes` are the values of single classes by name, where it is their mean.
    """

    value: float
    standard_error: float | None = None
    note: str | None = None
    classes: Mapping[str, float] | None = None


def as_score(value: Any, what: str) -> Score:
    """A score, or a number of any kind as one.

    Raises:
        UserError: if it is none, or not finite.
    """
    if isinstance(value, Score):
        return value._replace(value=as_score(value.value, what).value)
    if isinstance(value, Tensor | np.ndarray | np.generic) and math.prod(value.shape) == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        kind = f"a {type(value).__name__}"
        if isinstance(value, Tensor | np.ndarray):
            kind = f"an array {tuple(value.shape)}"
        raise UserError(
            f"{what} returned {kind}: a measure returns a number, a Score, or a mapping of "
            "names to these"
        )
    if not math.isfinite(value):
        raise UserError(
            f"{what} returned {value}: a value must be finite; where there is none, raise "
            "ValueError and say how many images are needed"
        )
    return Score(float(value))


def bootstrap_error(measure: Callable[[Tensor], Score], features: Tensor) -> float:
    """Standard error of a measure of `features` (N, D), by drawing N of them anew 25 times."""
    count = len(features)
    values = []
    for number in range(_REPLICATIONS):
        drawn = torch.randint(count, (count,), generator=keyed_generator(number, "bootstrap"))
        values.append(measure(features[drawn]).value)
    return float(torch.tensor(values, dtype=torch.float64).std())
