"""Where two runs of one config diverge, and how their environments differ."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

# Keys of a record that are not results, but say when and how fast they came.
TIMING = ("speed/", "time")


@dataclass
class Difference:
    """A quantity that differs.

    Args:
        tick: number of the tick.
        kimg: thousands of images seen by its end.
        quantity: its name in metrics.jsonl, or of a tensor in the checkpoint.
        recorded: the value of the run.
        reproduced: that of its reproduction.
    """

    tick: int
    kimg: float
    quantity: str
    recorded: float | None
    reproduced: float | None

    @property
    def relative(self) -> float:
        """How large it is; infinite where one has no value."""
        return relative(self.recorded, self.reproduced)

    def __str__(self) -> str:
        return (
            f"tick {self.tick} ({self.kimg:g} kimg): {self.quantity} was {self.recorded!r} and is "
            f"{self.reproduced!r} (relative difference {self.relative:.2g})"
        )

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return {**asdict(self), "relative": self.relative}


def relative(a: float | None, b: float | None) -> float:
    """|a - b| over the larger of both; 0 for equal values, infinite if only one is there."""
    if a == b:
        return 0.0
    if a is None or b is None:
        return float("inf")
    return abs(a - b) / max(abs(a), abs(b))


def first_difference(
    recorded: Sequence[Mapping[str, Any]],
    reproduced: Sequence[Mapping[str, Any]],
    tolerance: float,
) -> Difference | None:
    """The largest difference in the first tick whose relative difference exceeds `tolerance`.

    A change in one place soon reaches everything; where it is largest, its cause is nearest. Ticks
    that only one of the two has are not compared.
    """
    for old, new in zip(recorded, reproduced, strict=False):
        largest = _largest(old, new)
        if largest is not None and largest.relative > tolerance:
            return largest
    return None


def largest_difference(
    recorded: Sequence[Mapping[str, Any]], reproduced: Sequence[Mapping[str, Any]]
) -> Difference | None:
    """The largest of all ticks that both have."""
    pairs = zip(recorded, reproduced, strict=False)
    found = [largest for old, new in pairs if (largest := _largest(old, new)) is not None]
    return max(found, key=lambda difference: difference.relative, default=None)


def _largest(old: Mapping[str, Any], new: Mapping[str, Any]) -> Difference | None:
    """The largest of one tick."""
    names = [name for name in old if not name.startswith(TIMING)]
    names += [name for name in new if name not in old and not name.startswith(TIMING)]
    tick, kimg = int(old["tick"]), float(old["kimg"])
    found = [Difference(tick, kimg, n, old.get(n), new.get(n)) for n in names]
    return max(found, key=lambda difference: difference.relative, default=None)


def differing_tensor(a: Any, b: Any, where: str = "") -> tuple[str, float] | None:
    """Name of the first tensor or number in which two checkpoints differ, and by how much."""
    left, right = dict(_leaves(a, where)), dict(_leaves(b, where))
    for name, value in left.items():
        other = right.get(name)
        if isinstance(value, Tensor) and isinstance(other, Tensor) and value.shape == other.shape:
            if not torch.equal(value, other):
                return name, float((value.double() - other.double()).abs().max())
        elif isinstance(value, Tensor) or isinstance(other, Tensor) or value != other:
            return name, float("inf")
    return None


def _leaves(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        items: Any = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    else:
        yield where, value
        return
    for key, inner in items:
        yield from _leaves(inner, f"{where}.{key}" if where else str(key))


def differing_facts(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str) -> list[str]:
    """Lines that say which entries of run.json differ."""
    lines = []
    for key in dict.fromkeys([*old, *new]):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if key == "dirty_diff":
            lines.append(f"{prefix}: the uncommitted changes differ")
        else:
            lines.append(f"{prefix}: {key} was {before} and is {after}")
    return lines
