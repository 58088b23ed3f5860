"""The sweep task: a study in a folder, worked on by this process."""

import logging
import signal
import sqlite3
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from optuna.exceptions import ExperimentalWarning, OptunaError, StorageInternalError
from optuna.storages import BaseStorage
from sqlalchemy.exc import SQLAlchemyError

from trompe.errors import UserError
from trompe.parts import make
from trompe.runs.provenance import command_line, describe_code
from trompe.runs.run_folder import utc_now
from trompe.sweeps.front import draw_pareto
from trompe.sweeps.queue import Settings
from trompe.sweeps.recorded_sweep import consent
from trompe.sweeps.request import Request, make_sampler, new_request, reopen
from trompe.sweeps.storage import StudyStorage
from trompe.sweeps.study import PLACES, count_session, make_study, owner, plan_trials
from trompe.sweeps.sweep_folder import SweepFolder, state_name
from trompe.sweeps.table import SweepTable, best_trials, show
from trompe.sweeps.trial import Objective
from trompe.sweeps.worker import Worker
from trompe.words import first_key, in_shell, typed


def sweep(cfg: DictConfig, flags: list[str], experiment: list[str]) -> SweepFolder:
    """Start a sweep, or resume one.

    Args:
        cfg: conf/sweep.yaml.
        flags: of Hydra's, for every trial.
        experiment: overrides of `trompe train`, some with several values.

    Raises:
        UserError: for what cannot work, before anything is started; when no trial succeeded; and
            when the study can no longer be written.
        KeyboardInterrupt: on Ctrl-C or SIGTERM; the sweep can be resumed.
    """
    optuna.logging.set_verbosity(logging.WARNING)
    warnings.filterwarnings("ignore", category=ExperimentalWarning)
    for signum in (signal.SIGINT, signal.SIGTERM):  # background jobs ignore SIGINT
        signal.signal(signum, signal.default_int_handler)
    if cfg.resume is not None:
        request = reopen(cfg, flags, experiment)
    else:
        request = new_request(cfg, flags, experiment)
    trust = cfg.resume is None or cfg.trust is True  # a new sweep's trials are the person's own
    launcher = make(request.cfg.launcher, "launcher")
    folder = request.folder if cfg.resume is not None else _create(request)
    with _storage_errors(folder):
        study, storage, settings = _begin(request, trust)
        with SweepTable() as table:
            table.say(f"sweep folder: {folder.path}")
            worker = Worker(
                folder,
                study,
                storage,
                request.space,
                request.objective,
                launcher,
                settings,
                table.say,
            )
            try:
                worker.run(table.draw)
            except KeyboardInterrupt:
                table.say(f"\ninterrupted; resume it with: {_how_to_resume(folder)}")
                raise
        folder.write_table(study)
        _report(folder, study, request.objective, bool(worker.queue.left))
    return folder


def _create(request: Request) -> SweepFolder:
    """Make the folder, with a study in it or beside those of other workers."""
    cfg, folder = request.cfg, request.folder
    # Before there is a folder: a database that cannot be reached leaves nothing behind.
    shared = folder.open_storage(cfg.storage)
    if not shared.is_private:
        _make_study(shared, request)
        shared.close()

    def fill(started: Path) -> None:
        if shared.is_private:
            own = StudyStorage(cfg.storage, started)
            _make_study(own, request)
            own.close()

    description = {
        "command": command_line(),
        "started": utc_now(),
        "cwd": str(Path.cwd()),
        "code": describe_code(),
        "overrides": [o for o in HydraConfig.get().overrides.task if first_key(o) != "trust"],
        "storage": cfg.storage,
        "study": request.study,
        "flags": request.flags,
        "experiment": request.experiment,
        "space": {key: str(value) for key, value in request.space.dimensions.items()},
        "objective": list(request.objective.names),
        "direction": list(request.objective.directions),
    }
    folder.create(description, fill)
    return folder


def _make_study(storage: StudyStorage, request: Request) -> optuna.Study:
    with _storage_errors(request.folder):
        opened = storage.study
        with storage.exclusively(request.study):
            return make_study(opened, request.study, request.objective, request.space)


def _begin(request: Request, trust: bool) -> tuple[optuna.Study, StudyStorage, Settings]:
    """Open the study for a session: its sampler, which trials it needs, how to work on it."""
    cfg, folder = request.cfg, request.folder
    storage = folder.open_storage(cfg.storage)
    opened = storage.study
    n_trials = None if cfg.n_trials == "auto" else cfg.n_trials
    with folder.exclusively(), storage.exclusively(request.study):
        identity = folder.identity()
        sweep_id = identity["id"]
        study = _load_study(opened, request)
        for trial in study.get_trials(deepcopy=False):
            if storage.is_private or owner(trial) == sweep_id:
                folder.check_trial(trial)
        folder.settle(identity)  # nothing was written before all was checked
        session = count_session(study)
        if not storage.is_private:
            places = study.user_attrs.get(PLACES, {})
            study.set_user_attr(PLACES, {**places, sweep_id: str(folder.path)})
        study.sampler, study.pruner = make_sampler(cfg, request.space, session)
        wanted = plan_trials(study, request.space, n_trials, cfg.repeats)
    settings = Settings(
        sweep_id,
        wanted,
        cfg.repeats,
        cfg.jobs,
        cfg.retries,
        cfg.poll_seconds,
        request.flags,
        trust,
        request.check,
    )
    return study, storage, settings


def _load_study(storage: BaseStorage, request: Request) -> optuna.Study:
    """The study of this folder, which a new one must not replace: trials would change numbers."""
    try:
        return optuna.load_study(study_name=request.study, storage=storage)
    except KeyError:
        if any((request.folder.path / "trials").iterdir()):
            raise UserError(
                f"the study {request.study} is gone from its storage, but {request.folder.path} "
                "has trials of it: restore the storage, or start a new sweep"
            ) from None
        return make_study(storage, request.study, request.objective, request.space)


@contextmanager
def _storage_errors(folder: SweepFolder) -> Iterator[None]:
    """Inside this context, a study that cannot be written is reported in one line."""
    try:
        yield
    except (StorageInternalError, SQLAlchemyError, sqlite3.Error, OSError, OptunaError) as error:
        causes = [error, error.__cause__, error.__context__]
        reason = next(str(cause).strip() for cause in reversed(causes) if cause is not None)
        raise UserError(
            f"the sweep {folder.path} cannot be recorded ({reason.splitlines()[0]}): nothing is "
            f"lost; fix that and resume it with {_how_to_resume(folder)}"
        ) from error


def _report(folder: SweepFolder, study: optuna.Study, objective: Objective, is_left: bool) -> None:
    """Print the result, and the commands for what comes next."""
    states = Counter(state_name(trial) for trial in study.get_trials(deepcopy=False))
    told = f"{states['done']} done, {states['pruned']} pruned, {states['failed']} failed"
    if states["repeat"]:
        told += f", {states['repeat']} repeated a known result"
    print(f"\n{told}: {folder.path}")
    for trial in best_trials(study)[: 1 if len(objective.names) == 1 else None]:
        values = ", ".join(
            f"{name} = {value:.6g}"
            for name, value in zip(objective.names, trial.values, strict=True)
        )
        parameters: dict[str, Any] = trial.params
        chosen = " ".join(f"{name}={show(value)}" for name, value in parameters.items())
        print(f"  best     trial {trial.number}: {values}  ({chosen})")
        print(f"           {folder.path / folder.place(study, trial)}")
    print(f"  table    {folder.trials_csv}")
    if (picture := draw_pareto(folder, study)) is not None:
        print(f"  picture  {picture}")
    print(f"  compare  trompe compare {in_shell(str(folder.path))}")
    if is_left or states["running"]:
        print(f"  resume   {_how_to_resume(folder)}")
    if states["failed"] and not states["done"] and not states["running"]:
        raise UserError(f"no trial of {folder.path} succeeded; {folder.trials_csv} has the errors")


def _how_to_resume(folder: SweepFolder) -> str:
    # Of a sweep that could not begin there is no folder yet.
    is_there = (folder.path / "sweep.yaml").exists()
    needed = consent(folder.path, folder.read_description()) if is_there else ""
    return f"trompe sweep {typed('resume', folder.path)}{needed}"
