"""A run trained again, and how both compare."""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from trompe.engine.checkpoint import load_checkpoint
from trompe.errors import UserError
from trompe.files import told_as
from trompe.runs.differences import (
    Difference,
    differing_tensor,
    first_difference,
    largest_difference,
)
from trompe.runs.index import find_runs
from trompe.runs.records import Record
from trompe.runs.run_folder import RunFolder
from trompe.runs.tensors import FirstTensor, first_tensor, read_sums
from trompe.sweeps.launchers import Local
from trompe.sweeps.trial import Active
from trompe.words import quoted

# The parts of a checkpoint that hold training state; the rest says where and when.
_RESULTS = ("state_dict", "optimizer_states", "clock")


@dataclass
class Found:
    """How a run and its reproduction compare.

    Args:
        records: of the run.
        again: the reproduction, if it has begun.
        new: the records of that which were compared. They are not to be read again: a run that is
            stopped while it writes a record takes it back.
        difference: the first tick that differs.
        tensor: the first tensor that does, if both have checksums.
        weights: how the last checkpoints compare, if they are of the same image.
    """

    records: list[Record]
    again: RunFolder | None
    new: list[Record]
    difference: Difference | None
    tensor: FirstTensor | None = None
    weights: str | None = None

    def compare_tensors(self, run: RunFolder) -> None:
        """Look for the first tensor that differs, and into the checkpoints if there is none."""
        if self.again is None:
            return
        last = self.records[-1]["kimg"]
        old = [sums for sums in read_sums(run.tensors_file) if sums.kimg <= last]
        self.tensor = first_tensor(old, read_sums(self.again.tensors_file))
        if self.difference is None and len(self.new) >= len(self.records):
            self.weights = compare_weights(run, self.again)

    @property
    def told(self) -> str | None:
        """What differs; None if nothing does."""
        where = [str(part) for part in (self.difference, self.tensor) if part is not None]
        if not where and self.weights not in (None, "bitwise equal"):
            where = [str(self.weights)]
        return "; ".join(where) or None

    def verdict(self, tolerance: float) -> str:
        """In words.

        Raises:
            UserError: if it ended before it could be compared.
        """
        if self.told is not None:
            at = "differs at " if self.difference is not None else ""
            return f"{at}{self.told}"
        wanted, got = len(self.records), len(self.new)
        if got < wanted:
            raise UserError(f"the reproduction ended after {got} of {wanted} ticks")
        if tolerance:
            largest = largest_difference(self.records, self.new)
            where = f": at most {largest.relative:.2g}, {largest.quantity}" if largest else ""
            return f"equal within {tolerance:g} over {wanted} ticks{where}"
        what = "records and weights" if self.weights else "records"
        return f"bitwise equal: {what} of {wanted} ticks"

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return {
            "ticks": min(len(self.records), len(self.new)),
            "first_difference": self.difference.as_dict() if self.difference else None,
            "first_tensor": self.tensor._asdict() if self.tensor else None,
            "weights": self.weights,
            "run": str(self.again.path) if self.again else None,
        }


def follow(
    run: RunFolder, records: list[Record], command: list[str], output: Path, tolerance: float
) -> Found:
    """Train until the same number of ticks are recorded, or until one differs.

    Raises:
        UserError: with its last line, if the training fails.
    """
    shown = 0
    is_whole = len(records) == len(run.read_metrics())
    ends = {session.get("from_kimg") for session in run.fact("sessions")[1:]}
    with started(run, command, output) as active:
        while True:
            code = look(active, run)
            found = first_difference(
                comparable(records, active.records, ends), active.records, tolerance
            )
            tell_ticks(active.records[shown : len(records)], len(records))
            shown = len(active.records)
            # A whole run ends by itself, with its last checkpoint.
            if found is not None or code == 0 or (shown >= len(records) and not is_whole):
                return Found(records, active.run, active.records, found)
            time.sleep(0.2)


@contextmanager
def started(run: RunFolder, command: list[str], output: Path) -> Iterator[Active]:
    """A training of `run` from its beginning, in a new folder; it is stopped at the end."""
    place = output / f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{run.path.name.rpartition('_')[2]}"
    with told_as(place):
        place.mkdir(parents=True)
    threads = run.read_facts().get("hardware", {}).get("threads") or "auto"
    arguments = [
        *(f"run={quoted(str(run.path))}", "fresh=true", "logger=[]"),
        f"paths.output_dir={quoted(str(place))}",
    ]
    job = Local(command, threads=threads).start(arguments, place, 0, 1)
    active = Active(0, {}, place, job, 0)
    try:
        yield active
    finally:
        while job.poll() is None:
            active.stop()
            time.sleep(0.1)


def look(active: Active, run: RunFolder) -> int | None:
    """Read what a training has recorded; its exit code, 0, once it has ended.

    Raises:
        UserError: with its last line, if it failed.
    """
    code = active.job.poll()  # before reading, so that nothing is written after the last look
    active.run = active.run or next(iter(find_runs(active.folder)), None)
    if active.run is not None:
        active.read()
    if code:
        raise UserError(f"the reproduction of {run.path} failed: {active.error()}")
    return code


def tell_ticks(records: list[Record], count: int) -> None:
    """Say that these have ended, of so many."""
    for record in records:
        print(f"  tick {record['tick']} of {count}: {record['kimg']:g} kimg", flush=True)


def comparable(records: list[Record], again: list[Record], ends: Collection[Any]) -> list[Record]:
    """The records without what was measured only because a smaller budget ended there."""
    return [
        {key: old[key] for key in old if key in new} if old["kimg"] in ends else old
        for old, new in zip(records, again, strict=False)
    ]


def compare_weights(run: RunFolder, again: RunFolder) -> str | None:
    """Whether the last checkpoints are equal, if both have the same image count; else None."""
    if not (run.last_checkpoint.is_file() and again.last_checkpoint.is_file()):
        return None
    old, new = load_checkpoint(run.last_checkpoint), load_checkpoint(again.last_checkpoint)
    if old["clock"] != new["clock"]:
        return None
    found = differing_tensor({k: old[k] for k in _RESULTS}, {k: new[k] for k in _RESULTS})
    if found is None:
        return "bitwise equal"
    return f"the checkpoints differ, first in {found[0]} (largest difference {found[1]:.2g})"
