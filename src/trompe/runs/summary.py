"""What a listing and a comparison show of a run's records, in bounded memory."""

from collections.abc import Collection, Mapping
from typing import Any

from trompe.runs.curve import Curve

CLOCK = ("kimg", "tick", "time")  # say when a record was made


class Summary:
    """Takes in records one by one.

    Args:
        names: quantities to keep the extremes of, besides the metrics, which have no "/" in their
            name.
        has_curves: whether to keep the curves of all.

    Attributes:
        ticks: how many records there were.
        seconds: what they took.
        lowest: values by name.
        highest: the same.
        last: values at the last tick that has them, if there are curves.
        curves: over kimg, by name.
        clock: minutes over kimg, if there are curves.
    """

    def __init__(self, names: Collection[str] = (), has_curves: bool = False) -> None:
        self.ticks = 0
        self.seconds = 0.0
        self.lowest: dict[str, float] = {}
        self.highest: dict[str, float] = {}
        self.last: dict[str, float] = {}
        self.curves: dict[str, Curve] = {}
        self.clock = Curve()
        self._names = frozenset(names)
        self._has_curves = has_curves
        self._kept: dict[tuple[str, ...], list[str]] = {}  # of records with these names

    def add(self, record: Mapping[str, Any]) -> None:
        """Take in the next tick's record."""
        self.ticks += 1
        self.seconds += record.get("speed/tick_seconds") or 0.0
        for name in self._ranked(tuple(record)):
            if (value := record[name]) is None:
                continue
            if name not in self.lowest:
                self.lowest[name] = self.highest[name] = value
            elif value < self.lowest[name]:
                self.lowest[name] = value
            elif value > self.highest[name]:
                self.highest[name] = value
        if self._has_curves:
            self._draw(record)

    def _ranked(self, names: tuple[str, ...]) -> list[str]:
        """Which of these are kept; asked of every record, so it is looked up."""
        if (kept := self._kept.get(names)) is None:
            kept = [n for n in names if ("/" not in n or n in self._names) and n not in CLOCK]
            self._kept[names] = kept
        return kept

    def _draw(self, record: Mapping[str, Any]) -> None:
        self.clock.add(record["kimg"], self.seconds / 60)
        for name, value in record.items():
            if value is not None and name not in CLOCK:
                if name not in self.curves:
                    self.curves[name] = Curve()
                self.curves[name].add(record["kimg"], value)
                self.last[name] = value
