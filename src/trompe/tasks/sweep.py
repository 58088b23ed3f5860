"""The sweep task: a study in a folder, worked on by this process."""

import logging
import os
import signal
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from optuna.exceptions import ExperimentalWarning, OptunaError, StorageInternalError
from optuna.pruners import NopPruner
from optuna.storages import BaseStorage, get_storage
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from trompe.errors import UserError, check_count, check_positive
from trompe.runs.provenance import command_line, describe_code
from trompe.runs.run_folder import quoted, utc_now
from trompe.sweeps.arguments import first_key
from trompe.sweeps.front import draw_pareto
from trompe.sweeps.samplers import Grid
from trompe.sweeps.space import Space, parse_space
from trompe.sweeps.sweep_folder import SweepFolder, new_sweep_path
from trompe.sweeps.table import SweepTable, best_trials, show
from trompe.sweeps.trial import Objective
from trompe.sweeps.worker import Settings, Worker

_N_TRIALS = 20  # for samplers that could go on forever
_FREE_KEYS = {"resume", "n_trials", "jobs", "retries", "launcher", "poll_seconds", "paths"}


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
        folder, cfg, flags, experiment = _reopen(cfg, experiment)
    else:
        folder, experiment = None, _with_store(cfg, experiment)
    space = parse_space([*cfg.space, *experiment])
    _check_settings(cfg)
    objective = _objective(cfg)
    launcher = instantiate(cfg.launcher, _convert_="all")
    if folder is None:
        _check_space(space, flags)
        folder = _create(cfg, flags, experiment, space, objective)
    with _storage_errors(folder):
        storage = get_storage(folder.open_storage(cfg.storage))
        with folder.exclusively():
            study, n_trials = _open_study(cfg, folder, storage, space, objective)
        with SweepTable() as table:
            table.say(f"sweep folder: {folder.path}")
            settings = Settings(n_trials, cfg.jobs, cfg.retries, cfg.poll_seconds, flags)
            worker = Worker(folder, study, storage, space, objective, launcher, settings, table.say)
            try:
                worker.run(table.draw)
            except KeyboardInterrupt:
                table.say(f"\ninterrupted; resume it with: trompe sweep resume={folder.path}")
                raise
        folder.write_table(study)
        _report(folder, study, objective, bool(worker.left))
    return folder


def _reopen(
    cfg: DictConfig, experiment: list[str]
) -> tuple[SweepFolder, DictConfig, list[str], list[str]]:
    """The sweep in a folder, with new values of what may change."""
    folder = SweepFolder(Path(cfg.resume).expanduser())
    if not folder.path.is_dir():
        raise UserError(f"there is no sweep folder at {cfg.resume}")
    description = folder.read_description()
    new = [o for o in HydraConfig.get().overrides.task if first_key(o) != "resume"]
    refused = [o for o in new if first_key(o) not in _FREE_KEYS]
    refused += [o for o in experiment if first_key(o) != "paths"]
    if refused:
        raise UserError(
            f"resuming {folder.path} cannot change {', '.join(refused)}: leave these out, or start "
            "a new sweep without resume="
        )
    if Path(description["cwd"]).is_dir():
        os.chdir(description["cwd"])
    config = compose("sweep", [*description["overrides"], *new])
    return folder, config, description["flags"], description["experiment"]


def _with_store(cfg: DictConfig, experiment: list[str]) -> list[str]:
    """The trials' overrides with one dashboard for all; their folders are set one by one."""
    kept = [o for o in experiment if not o.startswith("paths.output_dir")]
    if not any(o.startswith("paths.store") for o in experiment):
        kept.append(f"paths.store={quoted(str(Path(cfg.paths.store).absolute()))}")
    return kept


def _create(
    cfg: DictConfig,
    flags: list[str],
    experiment: list[str],
    space: Space,
    objective: Objective,
) -> SweepFolder:
    # Mistakes in it are found before there is a folder.
    worker_config = _seeded(cfg, 0)
    sampler, pruner = instantiate(worker_config.sampler), instantiate(worker_config.pruner)
    if isinstance(sampler, Grid):
        sampler.plan(space)
    if len(objective.names) > 1 and not isinstance(pruner, NopPruner):
        raise UserError("a sweep with several objectives cannot prune: leave pruner= out")
    folder = SweepFolder(new_sweep_path(cfg.paths.output_dir))
    folder.create(
        {
            "command": command_line(),
            "started": utc_now(),
            "cwd": str(Path.cwd()),
            "code": describe_code(),
            "overrides": list(HydraConfig.get().overrides.task),
            "storage": cfg.storage,
            "study": cfg.study or folder.path.name,
            "flags": flags,
            "experiment": experiment,
            "space": {key: str(value) for key, value in space.dimensions.items()},
            "objective": list(objective.names),
            "direction": list(objective.directions),
        }
    )
    return folder


def _open_study(
    cfg: DictConfig, folder: SweepFolder, storage: BaseStorage, space: Space, objective: Objective
) -> tuple[optuna.Study, int]:
    """The study, new or not, with this session's sampler; and its number of trials."""
    name = cfg.study or folder.path.name
    study = optuna.create_study(
        study_name=name,
        storage=storage,
        directions=list(objective.directions),
        load_if_exists=True,
    )
    description = {
        "objective": list(objective.names),
        "directions": list(objective.directions),
        "space": {key: str(value) for key, value in space.dimensions.items()},
    }
    is_new = "space" not in study.user_attrs
    known = {key: study.user_attrs.get(key) for key in description}
    if not is_new and known != description:
        raise UserError(f"the study {name} already exists and is another sweep: {known}")
    number = len(study.get_trials(deepcopy=False))
    configured = _seeded(cfg, number)
    study.sampler = instantiate(configured.sampler)
    study.pruner = instantiate(configured.pruner)
    planned = study.sampler.plan(space) if isinstance(study.sampler, Grid) else []
    n_trials = (len(planned) or _N_TRIALS) if cfg.n_trials == "auto" else cfg.n_trials
    if is_new:
        for parameters in planned[:n_trials]:
            study.enqueue_trial(parameters)
        for key, value in description.items():
            study.set_user_attr(key, value)
    return study, min(n_trials, len(planned)) if planned else n_trials


def _seeded(cfg: DictConfig, number: int) -> DictConfig:
    """The config with a seed for a session that begins at that trial, so no draws repeat."""
    merged = OmegaConf.merge(cfg, {"worker_seed": cfg.sampler_seed + 1000003 * number})
    assert isinstance(merged, DictConfig)
    return merged


def _objective(cfg: DictConfig) -> Objective:
    names: list[str] = [cfg.objective] if isinstance(cfg.objective, str) else list(cfg.objective)
    directions: list[Any] = (
        [cfg.direction] if isinstance(cfg.direction, str) else list(cfg.direction)
    )
    if len(names) != len(directions):
        raise UserError(f"objective={names} needs one direction for each, not {directions}")
    for direction in directions:
        if direction not in ("minimize", "maximize"):
            raise UserError(f"direction={direction} is neither minimize nor maximize")
    return Objective(names, directions, cfg.value)


def _check_settings(cfg: DictConfig) -> None:
    if cfg.n_trials != "auto":
        check_count("n_trials", cfg.n_trials)
    check_count("jobs", cfg.jobs)
    check_count("retries", cfg.retries, 0)
    check_positive("poll_seconds", cfg.poll_seconds)
    if cfg.value not in ("best", "last"):
        raise UserError(f"value={cfg.value} is neither best nor last")


def _check_space(space: Space, flags: list[str]) -> None:
    """Compose the trials' configs in advance, so that a typo costs no trial.

    Raises:
        UserError: naming the overrides that do not compose.
    """
    if any(first_key(override) in ("run", "resume", "fresh") for override in space.fixed):
        raise UserError("a trial is a new run: leave run= out of a sweep")
    for overrides in space.examples():
        try:
            missing = OmegaConf.missing_keys(compose("train", overrides))
        except (HydraException, OmegaConfBaseException) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(
                f"trials cannot be composed: {reason} ({' '.join(overrides)})"
            ) from error
        if missing:
            raise UserError(
                f"trials need a value: add {' '.join(f'{x}=...' for x in sorted(missing))}"
            )


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
            f"lost; fix that and resume it with trompe sweep resume={folder.path}"
        ) from error


def _report(folder: SweepFolder, study: optuna.Study, objective: Objective, is_left: bool) -> None:
    """Print the result, and the commands for what comes next."""
    states: dict[TrialState, int] = {}
    for trial in study.get_trials(deepcopy=False):
        states[trial.state] = states.get(trial.state, 0) + 1
    done, failed = states.get(TrialState.COMPLETE, 0), states.get(TrialState.FAIL, 0)
    print(
        f"\n{done} done, {states.get(TrialState.PRUNED, 0)} pruned, {failed} failed: {folder.path}"
    )
    for trial in best_trials(study)[: 1 if len(objective.names) == 1 else None]:
        values = ", ".join(
            f"{name} = {value:.6g}"
            for name, value in zip(objective.names, trial.values, strict=True)
        )
        parameters: dict[str, Any] = trial.params
        chosen = " ".join(f"{name}={show(value)}" for name, value in parameters.items())
        print(f"  best     trial {trial.number}: {values}  ({chosen})")
        print(f"           {trial.user_attrs.get('run')}")
    print(f"  table    {folder.trials_csv}")
    if (picture := draw_pareto(folder, study)) is not None:
        print(f"  picture  {picture}")
    print(f"  compare  trompe compare {folder.path}")
    if is_left or states.get(TrialState.RUNNING):
        print(f"  resume   trompe sweep resume={folder.path}")
    if failed and not done and not states.get(TrialState.RUNNING):
        raise UserError(f"no trial of {folder.path} succeeded; {folder.trials_csv} has the errors")
