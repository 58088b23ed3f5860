"""A metric's value with its uncertainty, where known."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from trompe.engine.randomness import keyed_generator

# Efron and Tibshirani 1993, sec. 6.4: even 25 replications are usually informative.
_REPLICATIONS = 25


class Score(NamedTuple):
    """A value, its standard error if one is known, and what a reader must know, if anything."""

    value: float
    standard_error: float | None = None
    note: str | None = None


def bootstrap_error(measure: Callable[[Tensor], Score], features: Tensor) -> float:
    """Standard error of a measure of `features` (N, D), by drawing N of them anew 25 times."""
    count = len(features)
    values = []
    for number in range(_REPLICATIONS):
        drawn = torch.randint(count, (count,), generator=keyed_generator(number, "bootstrap"))
        values.append(measure(features[drawn]).value)
    return float(torch.tensor(values, dtype=torch.float64).std())
