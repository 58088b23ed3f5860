"""The folder of a sweep: the request, the study, the trials and a table of them."""

import csv
import os
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import OptunaError
from optuna.trial import FrozenTrial, TrialState

from trompe.errors import UserError, show
from trompe.files import CannotWrite, whole_file, whole_folder
from trompe.locks import Lock
from trompe.paths import expand
from trompe.runs.identity import new_identity, settled
from trompe.runs.index import find_runs
from trompe.runs.reading import read_yaml, require
from trompe.runs.run_folder import RunFolder, write_yaml
from trompe.runs.shape import SWEEP, SWEEP_FILE
from trompe.sweeps import study as attributes
from trompe.sweeps.space import meaning, meaning_of
from trompe.sweeps.storage import StudyStorage


class SweepFolder:
    """``outputs/sweeps/<date>_<time>_<id>/``: sweep.yaml, study, trials.csv and ``trials/NNNN/``.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._claimed: dict[int, Lock] = {}

    @property
    def trials_csv(self) -> Path:
        """The table of the trials."""
        return self.path / "trials.csv"

    def trial(self, number: int) -> Path:
        """The folder of a trial, in which its run folder is."""
        return self.path / "trials" / f"{number:04d}"

    def run_of(self, number: int) -> RunFolder | None:
        """The newest run of a trial; None if it made none."""
        return next(iter(reversed(find_runs(self.trial(number)))), None)

    def create(self, description: Mapping[str, Any], fill: Callable[[Path], None]) -> None:
        """Make the folder, with an id; it appears together with what it describes.

        Args:
            description: of the sweep, for sweep.yaml.
            fill: makes what else belongs into the folder, which is not in its place yet.

        Raises:
            UserError: if it cannot be written.
        """
        try:
            with whole_folder(self.path) as started:
                (started / "trials").mkdir()
                known = new_identity(self.path, started)
                write_yaml(started / "sweep.yaml", {**known, **description})
                fill(started)
        except CannotWrite as error:
            raise UserError(f"cannot make the sweep folder {self.path}: {error.reason}") from error

    def read_description(self) -> dict[str, Any]:
        """What `create` was given, or `settle` has changed.

        Raises:
            UserError: if this is not the folder of a sweep, or it cannot be read.
        """
        file = self.path / "sweep.yaml"
        if not os.path.lexists(file):
            raise UserError(f"{self.path} is not the folder of a sweep: it has no sweep.yaml")
        stored: dict[str, Any] = read_yaml(file, SWEEP_FILE)
        require(file, stored, SWEEP)
        return stored

    def identity(self) -> dict[str, Any]:
        """What it is known by from now on: see `trompe.runs.identity.settled`."""
        return settled(self.path, self.read_description(), _id_at)

    def settle(self, identity: Mapping[str, Any]) -> None:
        """Record what `identity` said, if anything is new in it."""
        description = self.read_description()
        if any(description.get(key) != value for key, value in identity.items()):
            write_yaml(self.path / "sweep.yaml", {**description, **identity})

    def open_storage(self, storage: str) -> StudyStorage:
        """``sqlite`` or ``journal``, files of this folder, or a database's URL."""
        return StudyStorage(storage, self.path)

    def load_study(self) -> optuna.Study:
        """The study, for reading.

        Raises:
            UserError: if it cannot be read.
        """
        description = self.read_description()
        try:
            storage = self.open_storage(description["storage"])
            return optuna.load_study(study_name=description["study"], storage=storage.study)
        except (KeyError, OptunaError) as error:
            raise UserError(f"{self.path} has no study: {error}") from error

    def check_trial(self, trial: FrozenTrial) -> RunFolder | None:
        """The newest run of a trial; None if it made none.

        Raises:
            UserError: if the run was not trained with the parameters that the study has for it.
        """
        run = self.run_of(trial.number)
        if run is None:
            return None
        given = dict(text.split("=", 1) for text in run.read_overrides() if "=" in text)
        config = run.read_config(is_shared=True)
        for key, value in trial.params.items():
            wanted, found = meaning(value), given.get(key)
            if found is not None and meaning(found) == wanted:
                held = _held(config, key)
                if held is None or "${" in str(value) or meaning_of(held[0]) == wanted:
                    continue
                found = show(held[0])
            raise UserError(
                f"trial {trial.number} has {key}={value} in the study, but its run {run.path} "
                f"was trained with {key}={found or '(not set)'}: this study is not the one of "
                "this folder; that run was not touched"
            )
        return run

    def relative(self, run: RunFolder) -> str:
        """Where a trial's run is in this folder."""
        return run.path.relative_to(self.path).as_posix()

    def exclusively(self) -> Lock:
        """Within it is one process at a time, of all that work on this folder."""
        return Lock(self.path / ".lock")

    def claim(self, number: int) -> bool:
        """Claim a trial for this process, until it releases it or ends, however it ends."""
        self.trial(number).mkdir(parents=True, exist_ok=True)
        lock = Lock(self.trial(number) / ".lock")
        if lock.acquire(wait=False):
            self._claimed[number] = lock
            return True
        return False

    def release(self, number: int) -> None:
        """Release a claimed trial."""
        self._claimed.pop(number).release()

    def write_table(self, study: optuna.Study) -> None:
        """Write trials.csv: number, state, values, parameters, run folder, error."""
        trials = study.get_trials(deepcopy=False)
        names = list(dict.fromkeys(name for trial in trials for name in trial.params))
        objectives = study.user_attrs["objective"]
        rows = [["trial", "state", *objectives, *names, "minutes", "run", "repeats", "error"]]
        for trial in trials:
            values = values_of(trial, len(objectives))
            minutes = f"{trial.duration.total_seconds() / 60:.2f}" if trial.duration else ""
            rows.append(
                [
                    trial.number,
                    state_name(trial),
                    *("" if value is None else value for value in values),
                    *(trial.params.get(name, "") for name in names),
                    minutes,
                    self.place(study, trial),
                    trial.user_attrs.get(attributes.REPEATS, ""),
                    trial.user_attrs.get(attributes.ERROR, ""),
                ]
            )
        with whole_file(self.trials_csv) as file:
            csv.writer(file).writerows(rows)

    def place(self, study: optuna.Study, trial: FrozenTrial) -> str:
        """A trial's run: relative to this folder, or where another sweep was seen last."""
        run: str = trial.user_attrs.get(attributes.RUN, "")
        if not run:
            return ""
        if Path(run).is_absolute():  # of an older version, before the sweep was moved perhaps
            inner = f"trials/{trial.number:04d}/"
            _, found, rest = run.rpartition(inner)
            return f"{inner}{rest}" if found and (self.path / inner / rest).is_dir() else run
        places = study.user_attrs.get(attributes.PLACES, {})
        other = places.get(attributes.owner(trial), str(self.path))
        return run if other == str(self.path) else str(Path(other, run))


def _id_at(path: Path) -> str | None:
    try:
        found: str | None = SweepFolder(path).read_description().get("id")
        return found
    except (UserError, OSError):
        return None


def _held(config: Any, key: str) -> tuple[Any] | None:
    """A config's value at an override's key; None if that is a group, or none of its values."""
    value = config
    for name in key.lstrip("+").split("."):
        if not isinstance(value, dict) or name not in value:
            return None
        value = value[name]
    is_group = isinstance(value, dict) or (value is None and "." not in key)
    return None if is_group else (value,)


def values_of(trial: FrozenTrial, count: int) -> list[float | None]:
    """A trial's values; for a pruned one, the last it reported; None where there are none."""
    # In Optuna `value` raises an error with several objectives.
    return list(trial.values) if trial.values else [None] * count


def state_name(trial: FrozenTrial) -> str:
    """done, pruned, failed, running, waiting; or repeat, with the result of an equal trial."""
    if attributes.is_repeat(trial) and trial.state.is_finished():
        return "repeat"
    names = {TrialState.COMPLETE: "done", TrialState.FAIL: "failed"}
    return names.get(trial.state, trial.state.name.lower())


def new_sweep_path(output_dir: str) -> Path:
    """``<output_dir>/sweeps/<date>_<time>_<id>`` for a sweep that starts now."""
    now = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    place = expand(output_dir, "paths.output_dir").absolute()
    return place / "sweeps" / f"{now}_{secrets.token_hex(3)}"
