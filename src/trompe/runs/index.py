"""Finding runs below a folder."""

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trompe.errors import UserError
from trompe.runs.run_folder import RunFolder

# A folder with one of these is a run's, however damaged it is.
_MARKS = ("run.json", "overrides.yaml")
# What is below them in it is no run.
_PARTS = {"checkpoints", "evaluations", "exported", "generated", "samples", "tensorboard", "wandb"}


# Runs that only tell whether another can be made again.
REPRODUCTIONS = "reproductions"


def find_runs(path: Path) -> list[RunFolder]:
    """Every run folder below `path`, or at it, oldest first; see `find_folders`.

    Those whose run.json cannot be read count as the oldest.
    """
    found = {RunFolder(folder): folder for folder in find_folders(path)}
    return sorted(found, key=lambda run: (_started(run), str(run.path)))


def find_folders(path: Path) -> Iterator[Path]:
    """Every run folder below `path`, or at it, in no order.

    Links are followed, to no folder twice; the name without a link counts, if there is one. A
    folder whose name begins with a dot is still being made, or is not a run. One that cannot be
    opened might be a run, and is given too. Reproductions are left out, unless `path` is theirs.
    """
    queue, links, seen = deque([path]), deque[Path](), set[tuple[int, int]]()
    while queue or links:
        folder = queue.popleft() if queue else links.popleft()
        try:
            status = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):  # deleted just now
            continue
        except OSError:
            yield folder
            continue
        if (where := (status.st_dev, status.st_ino)) in seen:
            continue
        seen.add(where)
        is_run = any(entry.name in _MARKS for entry in entries)
        if is_run:
            yield folder
        for entry in entries:
            if _may_hold_runs(entry, is_run):
                (links if entry.is_symlink() else queue).append(folder / entry.name)


def _may_hold_runs(entry: os.DirEntry[str], is_in_run: bool) -> bool:
    if entry.name.startswith(".") or entry.name == REPRODUCTIONS:
        return False
    if is_in_run and entry.name in _PARTS:
        return False
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def trial_of(path: Path) -> tuple[Path, int] | None:
    """The folder of the sweep that a run's folder is in, and the trial's number."""
    for trial in path.parents:
        if trial.parent.name == "trials" and trial.name.isdecimal():
            return trial.parent.parent, int(trial.name)
    return None


def experiment_of(path: Path) -> Path:
    """The folder of the experiment, or of the sweep, that a run's folder is in."""
    trial = trial_of(path)
    return path.parent if trial is None else trial[0]


def title_of(path: Path) -> str:
    """The experiment of a run's folder in words; a sweep's trials have its id beside it."""
    trial = trial_of(path)
    return path.parent.name + ("" if trial is None else f" {short_id(trial[0])}")


def short_id(path: Path) -> str:
    """The end of a run folder's name, by which every command knows it."""
    return path.name.rpartition("_")[2]


def started_at(facts: dict[str, Any]) -> str | None:
    """When a run's first session began, as run.json writes it."""
    sessions: list[dict[str, Any]] = facts.get("sessions") or [{}]
    return sessions[0].get("started")


def _started(run: RunFolder) -> str:
    try:
        return started_at(run.read_facts()) or ""
    except UserError:
        return ""
