"""Ratios of things that were measured next to each other."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence


def take_turns(contestants: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list]:
    """Wall seconds of each in every round; a round before the first warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds + 1):
        for name, work in contestants.items():
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
    return {name: values[1:] for name, values in seconds.items()}


def median_ratio(a: Sequence[float], b: Sequence[float]) -> float:
    """Median of the rounds' ratios: a drifting machine slows both sides alike."""
    return statistics.median(x / y for x, y in zip(a, b, strict=True))
