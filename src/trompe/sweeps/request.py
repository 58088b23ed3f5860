"""What a sweep was asked for: now, or when its folder was made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler

from trompe.errors import UserError, check_count, check_positive
from trompe.masking import has_mask, mask
from trompe.parts import make
from trompe.paths import expand
from trompe.runs.resume import check_secrets
from trompe.search_path import enter
from trompe.suggestions import for_composition
from trompe.sweeps.objective import choose_objective
from trompe.sweeps.recorded_sweep import check_trial, compose_recorded, own_texts
from trompe.sweeps.samplers import Automatic, Grid
from trompe.sweeps.space import Space, parse_space
from trompe.sweeps.sweep_folder import SweepFolder, new_sweep_path
from trompe.sweeps.trial import Objective
from trompe.training.config import SESSION_KEYS, resolve_config
from trompe.words import first_key, quoted

_FREE_KEYS = {
    "repeats",
    "n_trials",
    "jobs",
    "retries",
    "launcher",
    "poll_seconds",
    "paths",
}


@dataclass(frozen=True)
class Request:
    """A sweep, as it was asked for now or when it began.

    Args:
        cfg: conf/sweep.yaml, composed.
        flags: of Hydra's, for every trial.
        experiment: overrides of `trompe train`, some with several values.
        space: what they span.
        objective: what is looked for.
        folder: of the sweep.
        study: the study's name.
        check: refuses the overrides of a trial that this session may not run.
    """

    cfg: DictConfig
    flags: list[str]
    experiment: list[str]
    space: Space
    objective: Objective
    folder: SweepFolder
    study: str
    check: Callable[[list[str]], None] = lambda overrides: None


def new_request(cfg: DictConfig, flags: list[str], experiment: list[str]) -> Request:
    """A new sweep, with everything checked that can be before there is a folder."""
    experiment = _with_store(cfg, experiment)
    space = parse_space([*cfg.space, *experiment])
    _check_no_secret_is_swept(space)
    check_settings(cfg)
    _check_space(space)
    objective = choose_objective(cfg, space)
    _, pruner = make_sampler(cfg, space, 0)
    if len(objective.names) > 1 and not isinstance(pruner, NopPruner):
        raise UserError("a sweep with several objectives cannot prune: leave pruner= out")
    folder = SweepFolder(new_sweep_path(cfg.paths.output_dir))
    study = cfg.study or folder.path.name
    return Request(cfg, flags, experiment, space, objective, folder, study)


def reopen(cfg: DictConfig, flags: list[str], experiment: list[str]) -> Request:
    """The sweep in a folder, with new values of what may change."""
    folder = SweepFolder(expand(cfg.resume, "resume"))
    if not folder.path.is_dir():
        raise UserError(f"there is no sweep folder at {cfg.resume}")
    description = folder.read_description()
    task = HydraConfig.get().overrides.task
    new = [o for o in task if first_key(o) not in ("resume", "trust")]
    refused = [o for o in new if first_key(o) not in _FREE_KEYS]
    refused += [o for o in experiment if first_key(o) != "paths"]
    if refused:
        raise UserError(
            f"resuming {folder.path} cannot change {', '.join(refused)}: leave these out, or start "
            "a new sweep without resume="
        )
    _check_secrets(folder.path, description, {_key(o) for o in new})
    named = cfg.launcher.get("folder") or Path(cfg.paths.output_dir, "submitit")
    jobs = expand(named, "launcher.folder").absolute()
    if Path(description["cwd"]).is_dir():
        enter(Path(description["cwd"]))
    config = compose_recorded(folder.path, description, new, cfg, flags, jobs)
    own = own_texts(cfg, flags)

    def check(overrides: list[str]) -> None:
        if cfg.trust is not True:
            check_trial(folder.path, overrides, own)

    check_settings(config)
    experiment = description["experiment"]
    space = parse_space([*config.space, *experiment], description.get("space"))
    objective = Objective(description["objective"], description["direction"], config.value)
    flags, study = description["flags"], description["study"]
    return Request(config, flags, experiment, space, objective, folder, study, check)


def _check_secrets(folder: Path, description: Mapping[str, Any], new: set[str]) -> None:
    """Refuse to go on with overrides without their secrets, unless these are given anew.

    The password of the storage has its own way: `trompe.masking.real_storage`.
    """
    for override in [*description["overrides"], *description["experiment"]]:
        key = _key(override)
        if key != "storage" and key not in new:
            is_free = first_key(override) in _FREE_KEYS
            check_secrets(
                folder,
                {key: override.partition("=")[2]},
                "give it again, as ++{key}=..."
                if is_free
                else "start a new sweep, and have it taken from the environment, as "
                "{key}='${oc.env:NAME}'",
            )


def _check_no_secret_is_swept(space: Space) -> None:
    """Refuse choices that are masked: a study and its table hold the values, and find by them.

    Raises:
        UserError: naming the key.
    """
    for overrides in space.examples():
        for override in overrides[len(space.fixed) :]:
            if has_mask(mask(override)):
                raise UserError(
                    f"{_key(override)} is a secret and cannot be swept, since a sweep prints and "
                    "records what it chooses: give it one value"
                )


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _with_store(cfg: DictConfig, experiment: list[str]) -> list[str]:
    """The trials' overrides with one dashboard for all; their folders are set one by one."""
    kept = [o for o in experiment if not o.startswith("paths.output_dir")]
    if not any(o.startswith("paths.store") for o in experiment):
        store = expand(cfg.paths.store, "paths.store").absolute()
        kept.append(f"paths.store={quoted(str(store))}")
    return kept


def check_settings(cfg: DictConfig) -> None:
    """Refuse values that no sweep can work with.

    Raises:
        UserError: naming the key.
    """
    if cfg.n_trials != "auto":
        check_count("n_trials", cfg.n_trials)
    check_count("jobs", cfg.jobs)
    check_count("retries", cfg.retries, 0)
    check_count("sampler_seed", cfg.sampler_seed, 0)
    check_positive("poll_seconds", cfg.poll_seconds)


def _check_space(space: Space) -> None:
    """Compose the trials' configs in advance, so that a typo costs no trial.

    Raises:
        UserError: naming the overrides that do not compose.
    """
    if any(first_key(override) in SESSION_KEYS for override in space.fixed):
        raise UserError("a trial is a new run: leave run= out of a sweep")
    for overrides in space.examples():
        try:
            composed = compose("train", overrides)
            missing = OmegaConf.missing_keys(composed)
        except (HydraException, OmegaConfBaseException) as error:
            known = for_composition(str(error), "train", overrides)
            reason = known or str(error).strip().splitlines()[0]
            raise UserError(
                f"trials cannot be composed: {reason} ({' '.join(overrides)})"
            ) from error
        if missing:
            raise UserError(
                f"trials need a value: add {' '.join(f'{x}=...' for x in sorted(missing))}"
            )
        resolve_config(composed)


def make_sampler(cfg: DictConfig, space: Space, session: int) -> tuple[BaseSampler, BasePruner]:
    """Of a session, with a seed of its own, so that no two draw the same.

    Raises:
        UserError: if the space has an interval, which a grid cannot list.
    """
    seeded = OmegaConf.merge(cfg, {"worker_seed": cfg.sampler_seed + 1000003 * session})
    assert isinstance(seeded, DictConfig)
    sampler, pruner = make(seeded.sampler, "sampler"), make(seeded.pruner, "pruner")
    if isinstance(sampler, Automatic):
        sampler = sampler.choose(space, None if cfg.n_trials == "auto" else cfg.n_trials)
    if isinstance(sampler, Grid):
        sampler.plan(space)
    return sampler, pruner
