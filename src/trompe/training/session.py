"""What one `trompe train` works on: a new run, one to resume, or a variation of one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from trompe.engine.checkpoint import checkpoint_kimg
from trompe.engine.clock import Clock
from trompe.errors import UserError, show
from trompe.masking import has_mask
from trompe.paths import expand
from trompe.runs.naming import find_run
from trompe.runs.resume import (
    apply_change,
    check_secrets,
    differing_keys,
    find_unfinished,
    is_free,
    is_unsaved,
    restated,
    typed_keys,
)
from trompe.runs.run_folder import RunFolder, new_run_path
from trompe.runs.shape import TRAINED
from trompe.training.config import SESSION_KEYS, check_config, check_groups, resolve, resolve_config
from trompe.training.shown import Shown, describe_run
from trompe.trust import check_composed, check_overrides, texts_of
from trompe.trust import check_config as check_trust

# Of run folders; raised by one whenever older ones can no longer be resumed.
FORMAT = 2


@dataclass
class Session:
    """A run to train.

    Args:
        run: its folder.
        config: resolved.
        overrides: what the config was composed from.
        resumed: whether its folder is there.
        checkpoint: what it starts from; None is the beginning.
        parent: the run that it is a variation of, and what differs.
        initial: the weights that it begins with, if not random ones.
    """

    run: RunFolder
    config: dict[str, Any]
    overrides: list[str]
    resumed: bool
    checkpoint: Path | None = None
    parent: dict[str, Any] | None = None
    initial: dict[str, Any] | None = None

    @property
    def task(self) -> str:
        """What it is, in words that are the same in all processes of a run."""
        return f"resume {self.run.path.name}" if self.resumed else "start a new run"

    def describe(self) -> Shown:
        """How it is shown, if it is a new run or a copy of one."""
        # A run that was begun with other words has other choices than this command.
        is_composed = not self.resumed and self.parent is None and HydraConfig.initialized()
        choices = HydraConfig.get().runtime.choices if is_composed else {}
        return describe_run(self.run.path, self.config, self.overrides, choices)


def open_session(cfg: DictConfig) -> Session:
    """Decide what this session works on.

    `run=FOLDER` resumes that run, or, with overrides that may not change on resume, starts a
    variation of it; so does `fresh=true`, without any. `resume=auto` looks for a run to resume.
    """
    overrides = [o for o in HydraConfig.get().overrides.task if not _is_session_key(o)]
    check_groups(cfg)
    if not isinstance(cfg.fresh, bool):
        raise UserError(f"fresh={show(cfg.fresh)} must be true or false")
    if cfg.run is not None:
        return _reopen(find_run(cfg.run, cfg.paths.output_dir), overrides, cfg)
    if cfg.fresh:
        raise UserError("fresh=true repeats the run that run= names: give its folder")
    if cfg.resume not in ("never", "auto"):
        raise UserError(f"resume={show(cfg.resume)} is neither never nor auto")
    config = resolve_config(cfg)
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
    paths = resolve(cfg.paths)
    output = expand(paths["output_dir"], "paths.output_dir").absolute()
    paths = {**paths, "output_dir": str(output)}
    run.enter_directory()
    config, recorded = run.read_experiment(TRAINED), run.read_overrides()
    changes = {}
    if overrides:
        check_overrides(run.path, recorded, cfg.trust)
        before = _compose(run, recorded, cfg)
        keys = typed_keys(overrides, HydraConfig.get().runtime.choices)
        if same := restated(config, before, keys):
            before = _compose(run, [*recorded, *same], cfg)
        after = _compose(run, [*recorded, *overrides], cfg)
        changes = differing_keys(before, after)
        config = apply_change(config, before, after)
    check_trust(run.path, config, cfg.trust, texts_of(cfg))
    check_secrets(run.path, config, "give it again, as ++{key}=...")
    changes = {key: change for key, change in changes.items() if not has_mask(change[0])}
    config = check_config(config)
    if not cfg.fresh and all(is_free(key) for key in changes):
        return _continue(run, [*recorded, *overrides], config)
    # Where things lie is this command's, not the old run's: it may be a trial of a sweep.
    config = {**config, "paths": paths}
    parent = {
        "run": str(run.path),
        "id": run.read_facts().get("id"),
        "changes": {key: new for key, (_, new) in changes.items() if not key.startswith("paths.")},
    }
    new = RunFolder(new_run_path(paths["output_dir"], config["name"]))
    return Session(new, config, [*recorded, *overrides], resumed=False, parent=parent)


def _compose(run: RunFolder, overrides: list[str], cfg: DictConfig) -> dict[str, Any]:
    """What a folder's overrides compose, without the session's own keys."""
    composed = compose("train", overrides)
    own = texts_of(cfg)
    check_composed(run.path, composed, cfg.trust, own)
    check_groups(composed)
    # Before its parts are checked, for which what they name is imported.
    check_trust(run.path, resolve(composed), cfg.trust, own)
    return resolve_config(composed)


def _continue(run: RunFolder, overrides: list[str], config: dict[str, Any]) -> Session:
    if is_unsaved(run):
        return Session(run, config, overrides, resumed=True)
    if not run.last_checkpoint.is_file():
        raise UserError(
            f"{run.path} has no checkpoint to resume from, although it has saved ticks: repeat it "
            "with fresh=true"
        )
    kimg = checkpoint_kimg(run.last_checkpoint)
    clock = Clock(config["kimg"], config["tick_kimg"], config["batch_size"])
    if clock.budget_kimg < kimg:
        raise UserError(
            f"kimg={config['kimg']:g} is less than the {kimg:g} kimg that {run.path} already has"
        )
    return Session(run, config, overrides, resumed=True, checkpoint=run.last_checkpoint)


def _is_session_key(override: str) -> bool:
    return override.lstrip("+~").split("=")[0] in SESSION_KEYS
