"""Which tick was the best, by one of the tracked metrics."""

from collections.abc import Mapping
from typing import Any

from trompe.errors import UserError


class Best:
    """Compares ticks by a metric.

    Args:
        tracked: whether ``"higher"`` or ``"lower"`` is better, of each metric that is tracked.
        monitor: the one of them that decides; ``"auto"`` is the first; None keeps no best.
        mode: whether the best is the ``"min"`` or the ``"max"`` of it; ``"auto"`` takes the better.

    Raises:
        UserError: if there is no such metric or mode.

    Attributes:
        monitor: the metric that decides; None keeps no best.
        found: metric, value and kimg of the best tick so far; None before one was evaluated.
    """

    def __init__(self, tracked: Mapping[str, str], monitor: str | None, mode: str) -> None:
        if monitor == "auto":
            monitor = next(iter(tracked), None)
        if monitor is not None and monitor not in tracked:
            known = ", ".join([*tracked, "auto", "null"])
            raise UserError(f"checkpoint.monitor={monitor} is not tracked: choose one of {known}")
        if mode not in ("auto", "min", "max"):
            raise UserError(f"checkpoint.mode={mode} is neither auto, min nor max")
        if mode == "auto":
            mode = "max" if monitor and tracked[monitor] == "higher" else "min"
        self.monitor = monitor
        self._sign = 1 if mode == "min" else -1
        self.found: dict[str, Any] | None = None

    def is_beaten(self, values: Mapping[str, float], kimg: float) -> bool:
        """Whether these values are the best so far; they are remembered then."""
        value = values.get(self.monitor) if self.monitor else None
        if value is None:
            return False
        if self.found is not None and self._sign * value >= self._sign * self.found["value"]:
            return False
        self.found = {"metric": self.monitor, "value": value, "kimg": kimg}
        return True
