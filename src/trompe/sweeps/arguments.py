"""Which arguments of `trompe sweep` are its own, and which are for its trials."""

from pathlib import Path

import yaml
from hydra._internal.utils import get_args_parser

from trompe.command import config_dir, split_words
from trompe.paths import expand
from trompe.words import as_override, first_key


def split_arguments(arguments: list[str]) -> tuple[list[str], list[str], list[str]]:
    """Arguments of the sweep's own config, Hydra's flags for the trials, and overrides for them.

    An override belongs to the sweep if its first key is one of sweep.yaml's. ``paths`` is in both.
    """
    flags, words = split_words(arguments)
    overrides = [as_override(word) for word in words]
    keys = sweep_keys()
    own = [o for o in overrides if first_key(o) in {*keys, "paths", "hydra"}]
    experiment = [o for o in overrides if first_key(o) not in {*keys, "hydra"}]
    passed = []
    if folder := get_args_parser().parse_args(flags).config_dir:
        passed = ["--config-dir", str(expand(folder, "--config-dir").absolute())]
    return [*flags, *own], passed, experiment


def sweep_keys() -> set[str]:
    """The first keys of sweep.yaml: groups and values, without ``paths`` and ``hydra``."""
    content = yaml.safe_load((Path(config_dir()) / "sweep.yaml").read_text())
    groups = {
        name for entry in content.pop("defaults") if isinstance(entry, dict) for name in entry
    }
    return ({*content} | groups) - {"paths", "hydra"}
