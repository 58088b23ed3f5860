"""How much a reproduction shows: from every bit on one machine to a metric over seeds."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from trompe.engine.hardware import describe_hardware
from trompe.runs.provenance import describe_packages

# What a machine is, in run.json.
_MACHINE = ("host", "cpu", "gpus")


class Level(NamedTuple):
    """A level: L0 to L3, the lower the stronger.

    Args:
        name: ``L0`` bitwise on this machine and build, ``L1`` bitwise on another machine or build,
            ``L2`` within a tolerance, ``L3`` a metric within its interval over seeds.
        words: what that means here.
    """

    name: str
    words: str

    def __str__(self) -> str:
        return f"{self.name}: {self.words}"


def level_of(facts: Mapping[str, Any], processes: int | None, tolerance: float) -> Level:
    """The level of an equal reproduction here and now.

    Args:
        facts: run.json of the recorded run.
        processes: of the reproduction, if it was told how many.
        tolerance: largest relative difference that counted as equal.
    """
    if tolerance:
        before = max(session.get("processes", 1) for session in facts.get("sessions") or [{}])
        if processes in (None, before):
            return Level("L2", "within a tolerance")
        return Level("L2", f"{_count(processes)}, recorded with {_count(before)}")
    recorded, now = facts.get("hardware") or {}, describe_hardware()
    machine = all(recorded.get(key) == now[key] for key in _MACHINE)
    build = (facts.get("packages") or {}) == describe_packages()
    if machine and build:
        return Level("L0", "bitwise on the same machine and build")
    other = (
        "another machine" if build else "another build" if machine else "another machine and build"
    )
    return Level("L1", f"bitwise on {other}")


def _count(processes: int | None) -> str:
    return f"{processes} process" + ("" if processes == 1 else "es")
