"""The grammar of overrides: Hydra's, and `log(a,b)`, an interval that is drawn by its logarithm."""

from functools import cache
from typing import Union

from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
from hydra.core.override_parser.types import IntervalSweep


@cache
def overrides_parser() -> OverridesParser:
    """Reads overrides, those of sweeps too."""
    functions = create_functions()
    functions.register(name="log", func=log)
    return OverridesParser(functions)


# Hydra checks arguments by these annotations and knows `Union`, not `|`.
def log(start: Union[int, float], stop: Union[int, float]) -> IntervalSweep:  # noqa: UP007
    """An interval whose logarithm is drawn evenly."""
    if not 0 < start < stop:
        raise ValueError(f"log({start},{stop}) needs 0 < start < stop")
    return IntervalSweep(start=float(start), end=float(stop), tags={"log"})
