"""The search space of a sweep, in Hydra's own override grammar.

``model.loss=choice(hinge,non_saturating)`` or ``model.loss=hinge,non_saturating``,
``data.size=range(100,500,100)``, ``a=interval(0,0.9)``, ``b=int(interval(1,8))``, and, beyond
Hydra, ``model.optimizer.lr=log(1e-5,1e-3)``: an interval on a logarithmic scale.
"""

import itertools
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from hydra.core.override_parser.types import (
    ChoiceSweep,
    Glob,
    IntervalSweep,
    Override,
    RangeSweep,
)
from hydra.errors import HydraException
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from trompe.errors import UserError
from trompe.grammar import overrides_parser

# How the parser of Hydra's grammar begins, which says nothing to a person.
_GRAMMAR = ("mismatched input", "extraneous input", "no viable alternative", "token recognition")


@dataclass(frozen=True)
class Space:
    """What every trial has in common, and what the sampler chooses.

    Args:
        fixed: overrides of every trial.
        dimensions: by override key, what Optuna draws; choices are texts of override values.
        is_listed: whether the values of every dimension were listed, as choices or ranges.
    """

    fixed: tuple[str, ...]
    dimensions: Mapping[str, BaseDistribution]
    is_listed: bool = False

    @property
    def size(self) -> int | None:
        """Number of combinations; None if there are infinitely many."""
        counts = [_count(distribution) for distribution in self.dimensions.values()]
        known = [count for count in counts if count is not None]
        return math.prod(known) if len(known) == len(counts) else None

    def overrides(self, parameters: Mapping[str, Any]) -> list[str]:
        """The overrides of the trial with these parameters.

        Raises:
            UserError: for parameters that are not of this space: a study is read from a file or a
                database, and what its trials are started with must come from the sweep itself.
        """
        for key, value in parameters.items():
            if not _is_of(self.dimensions.get(key), value):
                raise UserError(f"the study has a trial with {key}={value}, not of this sweep")
        return [*self.fixed, *(f"{key}={value}" for key, value in parameters.items())]

    def examples(self) -> list[list[str]]:
        """Overrides in which every choice and every end of an interval appears at least once."""
        ends = {key: _ends(distribution) for key, distribution in self.dimensions.items()}
        first = {key: values[0] for key, values in ends.items()}
        one_changed = [{**first, k: value} for k, values in ends.items() for value in values[1:]]
        return [self.overrides(parameters) for parameters in [first, *one_changed]]

    def combinations(self) -> list[dict[str, Any]]:
        """Every combination of the choices, the last dimension changing fastest.

        Raises:
            UserError: if a dimension is an interval, which cannot be listed.
        """
        for key, distribution in self.dimensions.items():
            if _count(distribution) is None or getattr(distribution, "log", False):
                raise UserError(
                    f"sampler=grid needs values to combine, but {key} is an interval: use "
                    "range(start,stop,step) or choices, or another sampler"
                )
        return list(self.each_combination())

    def each_combination(self) -> Iterator[dict[str, Any]]:
        """The same one by one, of any space that has a `size`."""
        values = {key: _values(distribution) for key, distribution in self.dimensions.items()}
        for chosen in itertools.product(*values.values()):
            yield dict(zip(values, chosen, strict=True))


def meaning(value: Any) -> Hashable:
    """Equal for override values that mean the same, as ``1e-4`` and ``0.0001`` do.

    Args:
        value: a text of the override grammar, or a number that was drawn.
    """
    return _meaning_of_text(value) if isinstance(value, str) else meaning_of(value)


@cache
def _meaning_of_text(text: str) -> Hashable:
    try:
        return meaning_of(overrides_parser().parse_override(f"key={text}").value())
    except HydraException:
        return (None, text)  # not of the grammar, in a file of somebody else's


def meaning_of(value: Any) -> Hashable:
    """The same of a value in a config: 1 is 1.0, but neither the text ``1`` nor true."""
    if isinstance(value, list):
        return (list, *map(meaning_of, value))
    if isinstance(value, dict):
        return (dict, frozenset((meaning_of(k), meaning_of(v)) for k, v in value.items()))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (float, "nan" if value != value else value)
    return (type(value), value if isinstance(value, str | bool) else repr(value))


def parse_space(overrides: Sequence[str], recorded: Mapping[str, Any] | None = None) -> Space:
    """Sort overrides into those that are fixed and those that are to be swept; the last one wins.

    Of choices that mean the same, the first is taken.

    Args:
        overrides: of a trial, some with several values.
        recorded: by key, the dimensions of a sweep that is resumed, as text: an older version
            took all choices, and what its study has must not change.

    Raises:
        UserError: for anything outside Hydra's grammar, for a glob, and if nothing is swept.
    """
    fixed: dict[str, str] = {}
    dimensions: dict[str, BaseDistribution] = {}
    listed: dict[str, bool] = {}
    for text in overrides:
        try:
            override = overrides_parser().parse_override(text)
        except HydraException as error:
            reason = str(error).strip().splitlines()[0]
            if reason.startswith(_GRAMMAR):
                reason = "it is none of key=value, key=a,b and key=log(1e-5,1e-3)"
            raise UserError(f"cannot read the override {text!r}: {reason}") from error
        key = override.get_key_element()
        fixed.pop(key, None)
        dimensions.pop(key, None)
        if override.is_sweep_override():
            dimensions[key] = _distribution(override, text, (recorded or {}).get(key))
            listed[key] = override.is_choice_sweep() or override.is_range_sweep()
        else:
            fixed[key] = text
    if not dimensions:
        raise UserError(
            "nothing is swept: give a key several values, as in model.loss=hinge,non_saturating "
            "or 'model.optimizer.lr=log(1e-5,1e-3)'"
        )
    return Space(tuple(fixed.values()), dimensions, all(listed[key] for key in dimensions))


def _distribution(override: Override, text: str, recorded: Any) -> BaseDistribution:
    sweep = override.value()
    if isinstance(sweep, Glob):
        raise UserError(f"{text!r}: a sweep cannot use a glob: list the choices")
    if isinstance(sweep, ChoiceSweep):
        choices = list(dict.fromkeys(override.sweep_string_iterator()))
        if str(every := CategoricalDistribution(choices)) == recorded:
            return every
        first = {meaning(choice): choice for choice in reversed(choices)}
        return CategoricalDistribution([c for c in choices if first[meaning(c)] == c])
    try:
        if isinstance(sweep, RangeSweep):
            return _range(sweep)
        assert isinstance(sweep, IntervalSweep)
        low, high, is_log = sweep.start, sweep.end, "log" in sweep.tags
        assert low is not None and high is not None
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log=is_log)
        return FloatDistribution(float(low), float(high), log=is_log)
    except ValueError as error:
        raise UserError(f"{text!r}: {error}") from error


def _range(sweep: RangeSweep) -> BaseDistribution:
    """Python's range: the stop is excluded."""
    start, stop, step = sweep.start, sweep.stop, sweep.step
    if start is None or stop is None or step <= 0 or start >= stop:
        raise ValueError("range(start,stop,step) needs start < stop and a step above 0")
    last = start + step * (math.ceil((stop - start) / step - 1e-9) - 1)
    if all(isinstance(value, int) for value in (start, stop, step)):
        return IntDistribution(int(start), int(last), step=int(step))
    return FloatDistribution(float(start), float(last), step=float(step))


def _is_of(distribution: BaseDistribution | None, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    return distribution is not None and isinstance(value, int | float)


def _ends(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return list(dict.fromkeys([distribution.low, distribution.high]))


def _values(distribution: BaseDistribution) -> Sequence[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    count = _count(distribution)
    assert count is not None and distribution.step is not None
    return [distribution.low + i * distribution.step for i in range(count)]


def _count(distribution: BaseDistribution) -> int | None:
    """Number of values; None for an interval of real numbers."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    if distribution.step is None:
        return None
    return round((distribution.high - distribution.low) / distribution.step) + 1
