"""What a comparison shows of each run."""

import gc
import multiprocessing
import os
import signal
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from trompe.errors import UserError
from trompe.paths import expand
from trompe.runs.index import find_folders, short_id, started_at, trial_of
from trompe.runs.ranking import Value, by_protocol, differing
from trompe.runs.reading import Unreadable
from trompe.runs.run_folder import RunFolder
from trompe.runs.shape import flatten
from trompe.runs.summary import Summary
from trompe.runs.variation import WHERE

_FACTS = ("status", "kimg", "protocols", "error")  # that are shown
_MORE_FACTS = ("best", "hardware", "sessions", "data_credits")  # and besides, with curves
_MANY = 200  # runs, from which on several processes read them


@dataclass
class Entry:
    """One run, read.

    Args:
        run: its folder.
        label: short and unique in a comparison.
        began: when, as run.json writes it.
        facts: what is shown of run.json.
        config: flat, with dotted keys.
        summary: of metrics.jsonl.
        problem: why it cannot be read, in one line; it has no values then.
    """

    run: RunFolder
    label: str = ""
    began: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    summary: Summary = field(default_factory=Summary)
    problem: str | None = None

    @property
    def status(self) -> str:
        """As in run.json; killed if that says running and no process holds the folder."""
        if self.problem is not None:
            return "unreadable"
        status = self.facts.get("status") or "unknown"
        return "killed" if status == "running" and not self.run.is_locked() else status

    @property
    def kimg(self) -> float | None:
        """Thousands of images seen."""
        return None if self.problem else float(self.facts.get("kimg") or 0.0)

    @property
    def minutes(self) -> float | None:
        """Time spent training and evaluating, over all its sessions."""
        return None if self.problem else self.summary.seconds / 60

    @property
    def started(self) -> str | None:
        """When, local time."""
        if self.began is None:
            return None
        return f"{datetime.fromisoformat(self.began).astimezone():%Y-%m-%d %H:%M}"

    @property
    def protocols(self) -> Mapping[str, Mapping[str, Any]]:
        """Of the metrics, by name."""
        return self.facts.get("protocols") or {}

    def metric_names(self) -> list[str]:
        """Names of the metrics that have a protocol, and of those that were recorded."""
        recorded = self.summary.lowest
        plain = sorted(name for name in recorded if "/" not in name)
        return [name for name in dict.fromkeys([*self.protocols, *plain]) if name in recorded]

    def protocol(self, name: str) -> Mapping[str, Any]:
        """How a metric was measured; empty if that was not recorded."""
        return self.protocols.get(name) or {}

    def best(self, name: str) -> float | None:
        """The best value of a metric, by what its protocol calls better; lower without one."""
        is_higher = self.protocol(name).get("better") == "higher"
        return (self.summary.highest if is_higher else self.summary.lowest).get(name)


def read_entries(paths: Sequence[str | Path], names: Collection[str] | None = None) -> list[Entry]:
    """The runs at or below these folders, oldest first; a sweep's folder gives its trials.

    Runs that cannot be read come last, each with the reason.

    Args:
        paths: the folders.
        names: config keys and quantities to read, besides the metrics; all, and the curves, if
            None.

    Raises:
        UserError: if a folder is missing or holds no run.
    """
    entries: dict[Path, Entry] = {}
    for path in paths:
        folder = expand(path, "folders")
        if not folder.is_dir():
            raise UserError(f"there is no folder {path}")
        folders = sorted(find_folders(folder.absolute()))
        if not folders:
            raise UserError(f"there is no run in {path}")
        found = [entry for entry in _read_all(folders, names) if entry is not None]
        for entry in sorted(found, key=lambda e: (e.problem is not None, e.began or "")):
            entries.setdefault(entry.run.path.resolve(), entry)
    _label(entries.values())
    return list(entries.values())


def _read_all(folders: Sequence[Path], names: Collection[str] | None) -> Iterator[Entry | None]:
    read = partial(_read, names=names)
    processes = len(os.sched_getaffinity(0))
    if len(folders) < _MANY or processes == 1:
        yield from map(read, folders)
        return
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("fork"), _set_up)
    try:
        yield from pool.map(read, folders, chunksize=20)
    finally:
        pool.shutdown(cancel_futures=True)


def _set_up() -> None:
    gc.freeze()
    gc.disable()  # there is no garbage: reading makes no cycles
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _read(folder: Path, names: Collection[str] | None) -> Entry | None:
    """A run; None if it was deleted just now."""
    run = RunFolder(folder)
    try:
        facts = run.read_facts()
        config = run.read_config(is_shared=True)
        kept = {*(names or ()), *(facts.get("protocols") or ())}
        summary = Summary(kept, has_curves=names is None)
        for record in run.iterate_metrics():
            summary.add(record)
    except UserError as error:
        if not folder.exists():
            return None
        reason = str(error).removeprefix(f"{run.path} ")
        if isinstance(error, Unreadable):
            reason = f"{error.path.name}: {error.reason}"
        return Entry(run, problem=reason)
    flat = flatten(config) if names is None or {*names} - {*summary.lowest} else {}
    if names is not None:
        flat = {key: flat[key] for key in names if key in flat}
    shown = {key: facts.get(key) for key in (*_FACTS, *(_MORE_FACTS if names is None else ()))}
    return Entry(run, "", started_at(facts), shown, flat, summary)


def _label(entries: Collection[Entry]) -> None:
    """Give each the trial's number in a sweep, else the last part of the folder's name; unique."""
    taken: set[str] = set()
    for entry in entries:
        path = entry.run.path
        trial = trial_of(path)
        short = short_id(path) if trial is None else f"trial {trial[1]}"
        entry.label = f"{short} {path.name}" if short in taken else short
        taken.add(short)


def config_diff(entries: Sequence[Entry]) -> dict[str, list[Any]]:
    """The config keys in which runs differ, with every run's value; None where it has none."""
    keys = dict.fromkeys(key for entry in entries for key in entry.config)
    read = [i for i, entry in enumerate(entries) if entry.problem is None]
    columns = {key: [entry.config.get(key) for entry in entries] for key in sorted(keys)}
    return {
        key: values
        for key, values in columns.items()
        if any(values[i] != values[read[0]] for i in read) and key.partition(".")[0] not in WHERE
    }


def protocol_groups(entries: Sequence[Entry], name: str) -> tuple[list[list[int]], list[str]]:
    """Numbers of the entries that are comparable in a metric, and what sets the groups apart."""
    values = [
        Value(str(i), 0.0, entry.protocol(name))
        for i, entry in enumerate(entries)
        if entry.best(name) is not None
    ]
    groups = by_protocol(values)
    fields = differing([group[0].protocol for group in groups]) if groups else []
    return [[int(value.owner) for value in group] for group in groups], fields


def alike_but_for_seed(entries: Sequence[Entry]) -> list[int]:
    """For every run the number of its group, in which runs differ in nothing but the seed."""
    groups: dict[object, int] = {}
    without = {*WHERE, "seed"}
    found = []
    for i, entry in enumerate(entries):
        same = {k: v for k, v in entry.config.items() if k.partition(".")[0] not in without}
        key = tuple(sorted((k, repr(v)) for k, v in same.items())) if entry.problem is None else i
        found.append(groups.setdefault(key, len(groups)))
    return found
