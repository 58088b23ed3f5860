"""What one `trompe train` works on: a new run, one to resume, or a variation of one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from trompe.engine.checkpoint import load_checkpoint
from trompe.engine.clock import Clock
from trompe.errors import UserError
from trompe.runs.resume import apply_change, differing_keys, find_unfinished, is_free
from trompe.runs.run_folder import RunFolder, new_run_path, open_run

SESSION_KEYS = ("run", "resume", "fresh")  # say what to work on; not part of an experiment
# Of run folders; raised by one whenever older ones can no longer be resumed.
FORMAT = 2


@dataclass
class Session:
    """A run to train.

    Args:
        run: its folder.
        config: resolved.
        overrides: what the config was composed from.
        resumed: whether it starts from its checkpoint.
        parent: the run that it is a variation of, and what differs.
    """

    run: RunFolder
    config: dict[str, Any]
    overrides: list[str]
    resumed: bool
    parent: dict[str, Any] | None = None


def open_session(cfg: DictConfig) -> Session:
    """Decide what this session works on.

    `run=FOLDER` resumes that run, or, with overrides that may not change on resume, starts a
    variation of it; so does `fresh=true`, without any. `resume=auto` looks for a run to resume.
    """
    overrides = [o for o in HydraConfig.get().overrides.task if not _is_session_key(o)]
    if cfg.run is not None:
        return _reopen(open_run(cfg.run), overrides, cfg)
    if cfg.fresh:
        raise UserError("fresh=true repeats the run that run= names: give its folder")
    if cfg.resume not in ("never", "auto"):
        raise UserError(f"resume={cfg.resume} is neither never nor auto")
    config = _resolve(cfg)
    for key in SESSION_KEYS:
        config.pop(key)
    output_dir, name = config["paths"]["output_dir"], config["name"]
    if cfg.resume == "auto":
        found = find_unfinished(output_dir, name, config)
        if found is not None:
            found.enter_directory()
            return _continue(found, [*found.read_overrides(), *overrides], config)
    return Session(RunFolder(new_run_path(output_dir, name)), config, overrides, resumed=False)


def _reopen(run: RunFolder, overrides: list[str], cfg: DictConfig) -> Session:
    """Resume `run`, or vary it, by its own config and new overrides."""
    if run.read_facts().get("format", 1) < FORMAT:
        raise UserError(
            f"{run.path} was trained by an older version and cannot be resumed: it can be sampled, "
            "evaluated and compared; train it again without run="
        )
    paths = _resolve(cfg.paths)
    paths = {**paths, "output_dir": str(Path(paths["output_dir"]).expanduser().absolute())}
    run.enter_directory()
    config, recorded = run.read_config(), run.read_overrides()
    changes = {}
    if overrides:
        before = _resolve(compose("train", recorded))
        after = _resolve(compose("train", [*recorded, *overrides]))
        for key in SESSION_KEYS:
            before.pop(key), after.pop(key)
        changes = differing_keys(before, after)
        config = apply_change(config, before, after)
    if not cfg.fresh and all(is_free(key) for key in changes):
        return _continue(run, [*recorded, *overrides], config)
    # Where things lie is this command's, not the old run's: it may be a trial of a sweep.
    config = {**config, "paths": paths}
    parent = {
        "run": str(run.path),
        "changes": {key: new for key, (_, new) in changes.items() if not key.startswith("paths.")},
    }
    new = RunFolder(new_run_path(paths["output_dir"], config["name"]))
    return Session(new, config, [*recorded, *overrides], resumed=False, parent=parent)


def _continue(run: RunFolder, overrides: list[str], config: dict[str, Any]) -> Session:
    if not run.last_checkpoint.is_file():
        raise UserError(
            f"{run.path} has no checkpoint to resume from: it ended before its first tick; "
            "start it again without run="
        )
    kimg = load_checkpoint(run.last_checkpoint)["clock"]["images"] / 1000
    clock = Clock(config["kimg"], config["tick_kimg"], config["batch_size"])
    if clock.budget_kimg < kimg:
        raise UserError(
            f"kimg={config['kimg']:g} is less than the {kimg:g} kimg that {run.path} already has"
        )
    return Session(run, config, overrides, resumed=True)


def _resolve(cfg: DictConfig) -> dict[str, Any]:
    resolved = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    assert isinstance(resolved, dict)
    return resolved  # type: ignore[return-value]


def _is_session_key(override: str) -> bool:
    return override.lstrip("+~").split("=")[0] in SESSION_KEYS
