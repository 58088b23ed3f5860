"""What a comparison shows of each run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from trompe.errors import UserError
from trompe.runs.index import find_runs
from trompe.runs.ranking import Value, by_protocol, differing
from trompe.runs.resume import flatten
from trompe.runs.run_folder import RunFolder

# Keys of a config that say where or how it ran, not what was trained.
_WHERE = {"paths", "logger", "name", "trainer"}


@dataclass
class Entry:
    """One run, read.

    Args:
        label: short and unique in a comparison.
        run: its folder.
        facts: run.json.
        config: flat, with dotted keys.
        records: of metrics.jsonl.
    """

    label: str
    run: RunFolder
    facts: Mapping[str, Any]
    config: Mapping[str, Any]
    records: Sequence[Mapping[str, Any]]

    @property
    def status(self) -> str:
        """As in run.json; killed if that says running and no process holds the folder."""
        status = str(self.facts.get("status", "unknown"))
        return "killed" if status == "running" and not self.run.is_locked() else status

    @property
    def kimg(self) -> float:
        """Thousands of images seen."""
        return float(self.facts.get("kimg") or 0.0)

    @property
    def minutes(self) -> float:
        """Time spent training and evaluating, over all its sessions."""
        seconds = [record.get("speed/tick_seconds") for record in self.records]
        return sum(s for s in seconds if isinstance(s, int | float)) / 60

    @property
    def started(self) -> str:
        """When, local time."""
        sessions = self.facts.get("sessions") or [{}]
        text = sessions[0].get("started")
        return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}" if text else ""

    def metric_names(self) -> list[str]:
        """Names of the metrics that have a protocol, and of those that were recorded."""
        recorded = {k for record in self.records for k, v in record.items() if v is not None}
        protocols = self.facts.get("protocols") or {}
        plain = (k for k in recorded if "/" not in k and k not in ("kimg", "tick", "time"))
        return [name for name in dict.fromkeys([*protocols, *sorted(plain)]) if name in recorded]

    def best(self, name: str) -> float | None:
        """The best value of a metric, by what its protocol calls better; lower without one."""
        values: list[float] = [
            r[name] for r in self.records if isinstance(r.get(name), int | float)
        ]
        if not values:
            return None
        better = (self.facts.get("protocols") or {}).get(name, {}).get("better", "lower")
        return max(values) if better == "higher" else min(values)


def read_entries(paths: Sequence[str | Path]) -> list[Entry]:
    """The runs at or below these folders; a sweep's folder gives its trials.

    Raises:
        UserError: if a folder is missing or holds no run.
    """
    runs: dict[Path, RunFolder] = {}
    for path in paths:
        folder = Path(path).expanduser()
        if not folder.is_dir():
            raise UserError(f"there is no folder {path}")
        found = find_runs(folder.absolute())
        if not found:
            raise UserError(f"there is no run in {path}")
        runs |= {run.path: run for run in found}
    labels = _labels(list(runs))
    entries = [_read(run, labels[path]) for path, run in runs.items()]
    return [entry for entry in entries if entry is not None]


def _read(run: RunFolder, label: str) -> Entry | None:
    try:
        return Entry(label, run, run.read_facts(), flatten(run.read_config()), run.read_metrics())
    except (OSError, ValueError, UserError):
        # Deleted just now, or never complete: nothing to compare.
        return None


def _labels(paths: Sequence[Path]) -> dict[Path, str]:
    """The trial's number in a sweep, else the last part of the folder's name; unique."""
    labels: dict[Path, str] = {}
    for path in paths:
        parts = path.parts
        trial = parts[parts.index("trials") + 1] if "trials" in parts[:-1] else ""
        short = f"trial {int(trial)}" if trial.isdigit() else path.name.rpartition("_")[2]
        taken = short in labels.values()
        labels[path] = f"{short} {path.name}" if taken else short
    return labels


def config_diff(entries: Sequence[Entry]) -> dict[str, list[Any]]:
    """The config keys in which runs differ, with every run's value; None where it has none."""
    keys = dict.fromkeys(key for entry in entries for key in entry.config)
    columns = {key: [entry.config.get(key) for entry in entries] for key in sorted(keys)}
    return {
        key: values
        for key, values in columns.items()
        if any(value != values[0] for value in values) and key.partition(".")[0] not in _WHERE
    }


def protocol_groups(entries: Sequence[Entry], name: str) -> tuple[list[list[int]], list[str]]:
    """Numbers of the entries that are comparable in a metric, and what sets the groups apart."""
    values = [
        Value(str(i), 0.0, (entry.facts.get("protocols") or {}).get(name, {}))
        for i, entry in enumerate(entries)
        if entry.best(name) is not None
    ]
    groups = by_protocol(values)
    fields = differing([group[0].protocol for group in groups]) if groups else []
    return [[int(value.owner) for value in group] for group in groups], fields


def seed_groups(entries: Sequence[Entry]) -> list[list[int]]:
    """Numbers of the entries that differ in nothing but the seed, where there are several."""
    groups: dict[tuple[tuple[str, str], ...], list[int]] = {}
    without = {*_WHERE, "seed"}
    for i, entry in enumerate(entries):
        same = {k: v for k, v in entry.config.items() if k.partition(".")[0] not in without}
        groups.setdefault(tuple(sorted((k, repr(v)) for k, v in same.items())), []).append(i)
    return [
        group
        for group in groups.values()
        if len({entries[i].config.get("seed") for i in group}) > 1
    ]
