"""A metric's value with what is known of its uncertainty."""

from typing import NamedTuple


class Score(NamedTuple):
    """A value and its standard error, None where no estimate of it is known."""

    value: float
    standard_error: float | None = None
