"""The folder of a sweep: the request, the study, the trials and a table of them."""

import csv
import secrets
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from trompe.errors import UserError
from trompe.files import CannotWrite, whole_file, whole_folder
from trompe.locks import Lock
from trompe.runs.index import find_runs
from trompe.runs.run_folder import RunFolder

_FILES = {"sqlite": "study.db", "journal": "study.log"}


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

    def create(self, description: Mapping[str, Any]) -> None:
        """Make the folder; it appears together with what it describes.

        Raises:
            UserError: if it cannot be written.
        """
        try:
            with whole_folder(self.path) as started:
                (started / "trials").mkdir()
                with whole_file(started / "sweep.yaml") as file:
                    yaml.safe_dump(dict(description), file, sort_keys=False)
        except CannotWrite as error:
            raise UserError(f"cannot make the sweep folder {self.path}: {error.reason}") from error

    def read_description(self) -> dict[str, Any]:
        """What `create` was given.

        Raises:
            UserError: if this is not the folder of a sweep.
        """
        file = self.path / "sweep.yaml"
        if not file.is_file():
            raise UserError(f"{self.path} is not the folder of a sweep: it has no sweep.yaml")
        stored: dict[str, Any] = yaml.safe_load(file.read_text())
        return stored

    def open_storage(self, storage: str) -> BaseStorage:
        """Optuna's storage: ``sqlite`` or ``journal``, files of this folder, or a database's URL.

        Raises:
            UserError: if it cannot be opened.
        """
        place = self.path / _FILES[storage] if storage in _FILES else storage
        try:
            if storage == "journal":
                return JournalStorage(JournalFileBackend(str(place)))
            if storage == "sqlite":
                # Several workers write: they wait for each other.
                return RDBStorage(
                    f"sqlite:///{place}", engine_kwargs={"connect_args": {"timeout": 60}}
                )
            return RDBStorage(storage)
        except (SQLAlchemyError, ImportError, OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"cannot open the study's storage {place}: {reason}") from error

    def load_study(self) -> optuna.Study:
        """The study, for reading.

        Raises:
            UserError: if it cannot be read.
        """
        description = self.read_description()
        try:
            storage = self.open_storage(description["storage"])
            return optuna.load_study(study_name=description["study"], storage=storage)
        except (KeyError, OptunaError) as error:
            raise UserError(f"{self.path} has no study: {error}") from error

    def exclusively(self) -> Lock:
        """Within it is one process at a time, of all that work on this folder."""
        return Lock(self.path / ".claim.lock")

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
        rows = [["trial", "state", *objectives, *names, "minutes", "run", "error"]]
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
                    trial.user_attrs.get("run", ""),
                    trial.user_attrs.get("error", ""),
                ]
            )
        with whole_file(self.trials_csv) as file:
            csv.writer(file).writerows(rows)


def values_of(trial: FrozenTrial, count: int) -> list[float | None]:
    """A trial's values; for a pruned one, the last it reported; None where there are none."""
    # In Optuna `value` raises an error with several objectives.
    return list(trial.values) if trial.values else [None] * count


def state_name(trial: FrozenTrial) -> str:
    """done, pruned, failed, running or waiting."""
    names = {TrialState.COMPLETE: "done", TrialState.FAIL: "failed"}
    return names.get(trial.state, trial.state.name.lower())


def new_sweep_path(output_dir: str) -> Path:
    """``<output_dir>/sweeps/<date>_<time>_<id>`` for a sweep that starts now."""
    now = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    return Path(output_dir).expanduser().absolute() / "sweeps" / f"{now}_{secrets.token_hex(3)}"
