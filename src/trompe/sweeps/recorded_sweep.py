"""The config of a sweep that is resumed: from its folder, which may be a stranger's."""

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from hydra import compose
from omegaconf import DictConfig, OmegaConf

from trompe.errors import UserError
from trompe.masking import mask
from trompe.sweeps.space import parse_space
from trompe.sweeps.storage import OWN_FILES
from trompe.training.config import SESSION_KEYS
from trompe.trust import check_commands, check_composed, check_config, check_overrides, texts_of
from trompe.words import as_override, first_key

_PLACE = re.compile("slurm_(account|constraint|gres|mem|partition|qos|reservation|time)")
_WORD = re.compile(r"[\w.,:@+-]+")


def compose_recorded(
    folder: Path,
    description: Mapping[str, Any],
    new: list[str],
    cfg: DictConfig,
    flags: list[str],
    jobs: Path | None = None,
) -> DictConfig:
    """The config of a recorded sweep, if all that it and its trials would run is allowed.

    Args:
        folder: of the sweep.
        description: its sweep.yaml.
        new: overrides of what may change.
        cfg: what the person composed; it says whether the folder is trusted.
        flags: of Hydra's, that the person gave.
        jobs: the person's own folder for the files of jobs on a cluster, whose results are pickles.

    Raises:
        UserError: naming what else it would run, or connect to.
    """
    overrides, experiment = description["overrides"], description["experiment"]
    if cfg.trust is True:
        return compose("sweep", [*overrides, *new])
    own = own_texts(cfg, flags)
    check_overrides(folder, overrides, False)
    check_commands(folder, {"flags": description["flags"]}, False, own)
    config = compose("sweep", [*overrides, *new])
    check_composed(folder, config, False, own)
    if "folder" in config.launcher and jobs is not None:
        config.launcher.folder = str(jobs)
    resolved: Any = OmegaConf.to_container(config, resolve=True)
    parts = {key: resolved[key] for key in ("sampler", "pruner", "launcher")}
    check_config(folder, parts, False, own)
    check_commands(folder, _commands(resolved), False, own)
    space = [*config.space, *experiment]
    check_overrides(folder, space, False)
    chosen = [o for o in space if first_key(o) in SESSION_KEYS]
    check_commands(folder, {"experiment": chosen}, False)
    _check_trials(folder, space, own)
    return config


def own_texts(cfg: DictConfig, flags: Collection[str]) -> set[str]:
    """What the person says in this command, or in the environment, and so means."""
    return {*texts_of(cfg), *flags, mask(os.environ.get("TROMPE_STORAGE", ""))}


def _commands(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the sweep itself starts, writes into a job's script, or connects to."""
    launcher, storage = config["launcher"], str(config["storage"])
    parameters = launcher.get("parameters") or {}
    return {
        "launcher.command": launcher.get("command"),
        "launcher.parameters": {
            key: value
            for key, value in parameters.items()
            if not isinstance(value, int | float | None) and not _is_plain(key, value)
        },
        "storage": None if storage in OWN_FILES else mask(storage),
    }


def _is_plain(key: str, value: Any) -> bool:
    """Whether a parameter of a job is one word of a kind that only chooses where it runs."""
    return bool(_PLACE.fullmatch(key) and _WORD.fullmatch(str(value)))


def _check_trials(folder: Path, space: list[str], own: Collection[str]) -> None:
    for overrides in parse_space(space).examples():
        check_trial(folder, overrides, own)


def check_trial(folder: Path, overrides: Collection[str], own: Collection[str]) -> None:
    """Refuse a trial of a recorded sweep that would run what is not allowed.

    Args:
        folder: of the sweep.
        overrides: all that its process is started with, but for the person's flags.
        own: texts of the person's own config.

    Raises:
        UserError: naming what it would run.
    """
    composed = compose("train", [as_override(word) for word in overrides])
    check_composed(folder, composed, False, own)
    resolved: Any = OmegaConf.to_container(composed, resolve=True)
    check_config(folder, resolved, False, own)


def consent(folder: Path, description: Mapping[str, Any]) -> str:
    """What the command that resumes a sweep has to end in: `` trust=true``, or nothing."""
    try:
        compose_recorded(folder, description, [], compose("sweep"), [])
    except UserError:
        return " trust=true"
    return ""
