"""What the config of a run must hold, checked before anything is made of it."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from trompe.engine.clock import Clock
from trompe.errors import UserError, check_count, show
from trompe.metrics.evaluation import Evaluation
from trompe.parts import check_parts, check_settings
from trompe.runs.shape import flatten
from trompe.training.best import Best
from trompe.training.samples import SampleGrid

# Say which folder to work on, and how; not part of an experiment.
SESSION_KEYS = ("run", "resume", "fresh", "trust")
# Groups that a run cannot do without, and what to do instead of emptying one.
_NEEDED = {
    "paths": "leave it out",
    "data": "choose one",
    "model": "choose one",
    "trainer": "leave it out",
    "evaluation": "metrics=[] measures nothing",
    "checkpoint": "checkpoint.monitor=null keeps no best.ckpt",
}
# Larger whole numbers overflow what they are computed with.
_LARGEST = 2**63
_SETTINGS = {"evaluation": Evaluation, "samples": SampleGrid, "checkpoint": Best}
# Groups of parts, any of which may be missing.
_PARTS = ("metrics", "logger", "callbacks")


def resolve_config(cfg: DictConfig) -> dict[str, Any]:
    """The config of an experiment as plain values, checked.

    Raises:
        UserError: see `check_config`.
    """
    check_groups(cfg)
    return check_config({k: v for k, v in resolve(cfg).items() if k not in SESSION_KEYS})


def check_groups(cfg: DictConfig) -> None:
    """Refuse a config without a group that a run needs.

    Raises:
        UserError: naming the group.
    """
    for key, instead in _NEEDED.items():
        if not isinstance(cfg.get(key), DictConfig):
            raise UserError(f"{key}={show(cfg.get(key))} leaves a run without its {key}: {instead}")


def check_config(config: dict[str, Any]) -> dict[str, Any]:
    """The config with empty groups for those that are null, and without parts that are null.

    Raises:
        UserError: naming the first key whose value is of a wrong kind.
    """
    parts = {key: _filled(key, config.get(key)) for key in _PARTS}
    config = {**config, **parts, "samples": config.get("samples")}
    texts = {
        f"paths.{name}": text for name, text in ({"output_dir": None} | config["paths"]).items()
    }
    for key, value in {"name": config.get("name"), **texts}.items():
        if not isinstance(value, str) or not value:
            raise UserError(f"{key}={show(value)} must be a text that is not empty")
    if Path(config["name"]).is_absolute() or ".." in Path(config["name"]).parts:
        raise UserError(f"name={config['name']} must be the name of a folder in paths.output_dir")
    lengths: Any = [config.get(key) for key in ("kimg", "tick_kimg", "batch_size")]
    Clock(*lengths)
    check_count("seed", config.get("seed"), 0)
    if not isinstance(config["samples"], dict | None):
        raise UserError(f"samples={show(config['samples'])} must be a mapping, or null for none")
    for key, maker in _SETTINGS.items():
        check_settings(config.get(key) or {}, key, maker)
    for key in ("data", "model"):
        if "_target_" not in config[key]:
            raise UserError(f"{key}._target_ is missing: the name of its class")
    for key in ("data", "model", *_PARTS):
        check_parts(config[key], key)
    _check_numbers(config)
    return config


def _check_numbers(config: dict[str, Any]) -> None:
    for key, value in flatten(config).items():
        if isinstance(value, int) and abs(value) > _LARGEST:
            raise UserError(f"{key}={show(value)} is too large a number")


def resolve(cfg: DictConfig) -> dict[str, Any]:
    """Any config as plain values.

    Raises:
        OmegaConfBaseException: if a value is missing or refers to one that is not there.
    """
    resolved: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    return resolved  # type: ignore[no-any-return]


def _filled(key: str, group: Any) -> dict[str, Any]:
    if not isinstance(group, dict | None):
        raise UserError(f"{key}={show(group)} must be a list of names, such as {key}=[]")
    filled = {name: part for name, part in (group or {}).items() if part is not None}
    for name, part in filled.items():
        if not isinstance(part, dict) or "_target_" not in part:
            raise UserError(f"{key}.{name}={show(part)} must be a part with _target_, or null")
    return filled
