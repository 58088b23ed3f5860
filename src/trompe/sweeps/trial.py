"""A trial in progress: its process, and what it has recorded so far."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trompe.runs.reading import Unreadable
from trompe.runs.records import Follower
from trompe.runs.run_folder import RunFolder
from trompe.sweeps.launchers import Job

Direction = Literal["minimize", "maximize"]

_MESSAGE = 4096  # bytes; where there are fewer, a process could not write why it ended
_PATIENCE = 30.0  # seconds that a trial gets to end on its own


@dataclass
class Objective:
    """What a sweep looks for.

    Args:
        names: of values in metrics.jsonl.
        directions: ``minimize`` or ``maximize``, for each.
        value: of a trial with several evaluations: the ``best`` by the first name, or the ``last``.
    """

    names: Sequence[str]
    directions: Sequence[Direction]
    value: str

    def points(self, records: Sequence[dict[str, Any]]) -> dict[int, list[float]]:
        """The values by tick, for ticks that recorded all of them."""
        return {
            int(record["tick"]): [float(record[name]) for name in self.names]
            for record in records
            if all(isinstance(record.get(name), int | float) for name in (*self.names, "tick"))
        }

    def choose(self, points: dict[int, list[float]]) -> list[float] | None:
        """The values that count; None if there are none."""
        if not points:
            return None
        if self.value == "last":
            return points[max(points)]
        pick = min if self.directions[0] == "minimize" else max
        return pick(points.values(), key=lambda values: values[0])


@dataclass
class Active:
    """A trial whose process is running.

    Args:
        number: in the study.
        parameters: what the sampler chose.
        folder: of the trial.
        job: its process.
        attempts: how often it was started in this session.
    """

    number: int
    parameters: dict[str, Any]
    folder: Path
    job: Job
    slot: int
    attempts: int = 1
    pruned: bool = False
    run: RunFolder | None = None
    records: list[dict[str, Any]] = field(default_factory=list)
    damage: str = ""
    started: float = field(default_factory=time.monotonic)
    _follower: Follower | None = None
    _deadline: float | None = None

    def read(self) -> None:
        """Take over what the run has written since the last time; `damage` says why it cannot."""
        assert self.run is not None
        if self._follower is None:
            self._follower = Follower(self.run.metrics_file)
        try:
            self._follower.read()
        except Unreadable as error:
            self.damage = str(error)
        self.records = self._follower.records

    @property
    def kimg(self) -> float:
        """Its progress."""
        return float(self.records[-1].get("kimg") or 0.0) if self.records else 0.0

    def stop(self) -> None:
        """Ask the process to end, and kill it if it has not after a while."""
        if self._deadline is None:
            self.job.stop()
            self._deadline = time.monotonic() + _PATIENCE
        elif time.monotonic() > self._deadline:
            self.job.kill()

    def error(self) -> str:
        """The last line that the process wrote to stderr."""
        try:
            text = (self.folder / "stderr.log").read_text(errors="replace")
        except OSError:
            return f"{self.folder} was deleted during training"
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if lines:
            return lines[-1][:1000]
        if shutil.disk_usage(self.folder).free < _MESSAGE:
            return f"no space left on {self.folder}"
        return "it ended without a message"
