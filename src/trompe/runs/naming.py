"""How a person names a run: a folder, its short id, `latest`, `best`."""

import re
from collections.abc import Iterable
from typing import Any

from trompe.errors import UserError
from trompe.paths import expand
from trompe.runs.index import experiment_of, find_folders, find_runs, short_id, trial_of
from trompe.runs.ranking import Value, rank
from trompe.runs.reading import read_yaml
from trompe.runs.run_folder import RunFolder, open_run
from trompe.runs.shape import SWEEP_FILE
from trompe.runs.summary import Summary

_WORDS = ("latest", "best")
_ID = re.compile(r"[0-9a-f]{4,}")


def find_run(name: str, output_dir: str, key: str = "run") -> RunFolder:
    """The run that a user names.

    Args:
        name: as the user typed it: a folder; the name of a run folder, or the id at its end, or
            the first four characters or more of that; `latest`, the run that was started last;
            `best`, the best of the latest run's experiment; or these two after the name of a
            folder, such as ``outputs/sweeps/<sweep>/best``.
        output_dir: below which runs are looked for: `paths.output_dir`.
        key: of the config, for messages.

    Raises:
        UserError: if there is none, several have that id, or the values that would decide on the
            best cannot be ranked.
    """
    if (path := expand(name, key)).exists():
        if not path.is_dir():
            raise UserError(f"{key}={name} is a file, not a run folder")
        return open_run(name)
    place, _, word = str(name).rstrip("/").rpartition("/")
    if word in _WORDS:
        runs = _runs_below(place, output_dir, f"{key}={name}")
        if word == "latest":
            return open_run(runs[-1].path)
        return _best(runs if place else find_runs(experiment_of(runs[-1].path)), f"{key}={name}")
    if "/" in str(name):
        return open_run(name)
    return _by_id(str(name), output_dir, key)


def _runs_below(place: str, output_dir: str, what: str) -> list[RunFolder]:
    """Runs below a folder as it was typed, or below the output folder; oldest first."""
    outputs = expand(output_dir, "paths.output_dir")
    tried = [expand(place, "run"), outputs / place] if place else [outputs]
    folder = next((folder for folder in tried if folder.is_dir()), tried[0])
    runs = find_runs(folder) if folder.is_dir() else []
    if not runs:
        raise UserError(f"{what}: there are no runs below {folder}")
    return runs


def _best(runs: list[RunFolder], what: str) -> RunFolder:
    """The one with the best value of a sweep's objective, or of what decided on best.ckpt."""
    values = list(_of_objective(runs)) or list(_of_metric(runs))
    if not values:
        raise UserError(f"{what}: no run has a value of a metric yet: choose one by its folder")
    if len(names := {name for name, _ in values}) > 1:
        raise UserError(
            f"{what}: the runs track different metrics ({', '.join(sorted(names))}): "
            "choose one by its folder"
        )
    best = rank(names.pop(), [value for _, value in values])[0]
    return open_run(best.owner)


def _of_metric(runs: Iterable[RunFolder]) -> Iterable[tuple[str, Value]]:
    for run in runs:
        try:
            facts = run.read_facts()
        except UserError:  # damaged: not the best
            continue
        if found := facts.get("best"):
            protocol = (facts.get("protocols") or {}).get(found["metric"]) or {}
            yield found["metric"], Value(str(run.path), found["value"], protocol)


def _of_objective(runs: list[RunFolder]) -> Iterable[tuple[str, Value]]:
    """Values of the objective of the sweep that all these runs are trials of."""
    trials = [trial_of(run.path) for run in runs]
    sweeps = {None if trial is None else trial[0] for trial in trials}
    sweep = sweeps.pop() if len(sweeps) == 1 else None
    if sweep is None or not (sweep / "sweep.yaml").is_file():
        return
    description: Any = read_yaml(sweep / "sweep.yaml", SWEEP_FILE)
    name, direction = description["objective"][0], description["direction"][0]
    for run in runs:
        summary = Summary([name])
        try:
            for record in run.iterate_metrics():
                summary.add(record)
            protocol = (run.read_facts().get("protocols") or {}).get(name) or {}
        except UserError:
            continue
        extremes = summary.highest if direction == "maximize" else summary.lowest
        if name in extremes:
            better = {"better": "higher" if direction == "maximize" else "lower"}
            yield name, Value(str(run.path), extremes[name], {**protocol, **better})


def _by_id(name: str, output_dir: str, key: str) -> RunFolder:
    folder = expand(output_dir, "paths.output_dir")
    folders = sorted(find_folders(folder)) if folder.is_dir() else []
    found = [path for path in folders if path.name == name]
    if not found and _ID.fullmatch(name):
        found = [path for path in folders if short_id(path).startswith(name)]
    if len(found) == 1:
        return open_run(found[0])
    if found:
        names = ", ".join(str(path) for path in found[:4])
        raise UserError(f"{key}={name} is the name of {len(found)} runs: {names}")
    raise UserError(
        f"{key}={name}: there is no run folder at {name}, and none of that name or id below "
        f"{folder}: give a folder, the id at its end, latest or best (trompe runs lists them)"
    )
