"""Numbers that change with the images seen.

Wherever a config takes a learning rate, a beta, a weight or a half-life, it takes a number or one
of these (config group `schedule`). They are functions of kimg alone, so a resumed run goes on like
an uninterrupted one.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from trompe import errors
from trompe.errors import UserError


class Schedule(ABC):
    """A number as a function of thousands of images seen."""

    @abstractmethod
    def at(self, kimg: float) -> float:
        """The number when `kimg` thousand images have been seen."""


Number = float | Schedule


def value_at(number: Number, kimg: float) -> float:
    """A number, or a schedule's number now."""
    return number.at(kimg) if isinstance(number, Schedule) else number


def check_number(key: str, number: object, least: float = -math.inf) -> None:
    """Refuse anything but a number of at least `least`, or a schedule.

    Raises:
        UserError: naming the config's `key`.
    """
    if isinstance(number, Schedule):
        return
    try:
        errors.check_number(key, number, least)
    except UserError as error:
        raise UserError(f"{error}, or a schedule") from None


def check_weights(weights: Mapping[str, Number], names: Sequence[str]) -> dict[str, Number]:
    """The weights of a method's losses, one for each name.

    Raises:
        UserError: if one is missing, unknown, or no number.
    """
    for name in sorted({*names} ^ {*weights}):
        what = "is missing" if name in names else "is not a loss of this model"
        raise UserError(f"model.weights.{name} {what}: its losses are {', '.join(names)}")
    for name, weight in weights.items():
        check_number(f"model.weights.{name}", weight)
    return dict(weights)


def values_at(value: Any, kimg: float) -> Any:
    """The same of every schedule within lists and dicts."""
    if isinstance(value, dict):
        return {key: values_at(entry, kimg) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [values_at(entry, kimg) for entry in value]
    return value_at(value, kimg)


def varies(value: Any) -> bool:
    """Whether it contains a schedule."""
    if isinstance(value, dict):
        return any(map(varies, value.values()))
    if isinstance(value, list | tuple):
        return any(map(varies, value))
    return isinstance(value, Schedule)


class Constant(Schedule):
    """Always the same number.

    Args:
        value: the number.
    """

    def __init__(self, value: float) -> None:
        self.value = _finite("value", value)

    def at(self, kimg: float) -> float:
        """See `Schedule`."""
        return self.value


class Linear(Schedule):
    """`start` until `begin_kimg`, a straight line from there, `end` from `end_kimg` on.

    Args:
        start: the number at first.
        end: the number at last.
        begin_kimg: thousands of images after which it begins to change.
        end_kimg: thousands of images after which it no longer changes.

    Raises:
        UserError: if one of them is not a number, or it would end before it begins.
    """

    def __init__(self, start: float, end: float, begin_kimg: float, end_kimg: float) -> None:
        self.start, self.end = _finite("start", start), _finite("end", end)
        self.begin_kimg = _finite("begin_kimg", begin_kimg)
        self.end_kimg = _finite("end_kimg", end_kimg)
        if end_kimg < begin_kimg:
            raise UserError(
                f"schedule: end_kimg={end_kimg} is before begin_kimg={begin_kimg}: swap them"
            )

    def at(self, kimg: float) -> float:
        """See `Schedule`."""
        return self.start + self._progress(kimg) * (self.end - self.start)

    def _progress(self, kimg: float) -> float:
        """From 0 at `begin_kimg` to 1 at `end_kimg`."""
        if kimg >= self.end_kimg:
            return 1.0
        if kimg <= self.begin_kimg:
            return 0.0
        return (kimg - self.begin_kimg) / (self.end_kimg - self.begin_kimg)


class Cosine(Linear):
    """`Linear`, along half a cosine (Loshchilov and Hutter 2017, SGDR, eq. 5, without restarts)."""

    def _progress(self, kimg: float) -> float:
        return 0.5 - 0.5 * math.cos(math.pi * super()._progress(kimg))


class WarmUp(Schedule):
    """Another number, times a factor that rises linearly to 1 (Goyal et al. 2017, sec. 2.2).

    Args:
        then: the number or schedule that is approached.
        kimg: thousands of images after which it is reached.
        factor: of it at the beginning.

    Raises:
        UserError: if `kimg` is not above 0, or another argument is not a number.
    """

    def __init__(self, then: Number, kimg: float, factor: float = 0.0) -> None:
        self.then = then if isinstance(then, Schedule) else _finite("then", then)
        self.factor = _finite("factor", factor)
        self.kimg = _finite("kimg", kimg)
        if kimg <= 0:
            raise UserError(f"schedule: kimg={kimg} must be above 0")

    def at(self, kimg: float) -> float:
        """See `Schedule`."""
        done = min(1.0, kimg / self.kimg)
        return value_at(self.then, kimg) * (self.factor + (1 - self.factor) * done)


def _finite(name: str, value: Any) -> float:
    errors.check_number(f"schedule: {name}", value)
    number: float = value
    return number
