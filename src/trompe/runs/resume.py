"""Resuming a run: which folder, and whether its config is still the one asked for."""

from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

from trompe.engine.hardware import device_type
from trompe.errors import UserError, show
from trompe.grammar import overrides_parser
from trompe.masking import has_mask, mask
from trompe.paths import expand
from trompe.runs.run_folder import RunFolder
from trompe.runs.shape import flatten
from trompe.words import quoted

_MISSING: Any = object()

# What may change between sessions of one run without making it another experiment.
# The number of processes may: any number computes the same from one global batch.
FREE_KEYS = (
    "kimg",
    "run",
    "resume",
    "paths",
    "logger",
    "trainer.num_nodes",
    "trainer.devices",
    # What conditional=true fills in, by the data.
    "model.classes",
    "model.generator.classes",
    "model.discriminator.classes",
    # What data of one picture decide.
    "model.height",
    "model.width",
    "model.memory_gib",
)


def differing_keys(old: dict[str, Any], new: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Dotted keys whose values differ, each with (old, new); a missing one counts as None.

    An accelerator is compared by what it resolves to on this machine.
    """
    a, b = flatten(old), flatten(new)
    for flat in (a, b):
        if (accelerator := flat.get("trainer.accelerator")) is not None:
            flat["trainer.accelerator"] = device_type(accelerator)
    return {k: (a.get(k), b.get(k)) for k in sorted({*a, *b}) if a.get(k) != b.get(k)}


def is_free(key: str) -> bool:
    """Whether a dotted key may change when a run is resumed."""
    return any(key == free or key.startswith(f"{free}.") for free in FREE_KEYS)


def apply_change(config: Any, before: Any, after: Any) -> Any:
    """`config` with the change that leads from `before` to `after`, and nothing else changed.

    A run's recorded config stays the truth for everything not asked for, even if its
    overrides would compose differently today.
    """
    if not all(isinstance(value, dict) for value in (config, before, after)):
        return config if before == after else after
    changed = {}
    for key in [*config, *(key for key in after if key not in config)]:
        old, new = before.get(key, _MISSING), after.get(key, _MISSING)
        if old == new and key in config:
            changed[key] = config[key]
        elif old != new and new is not _MISSING:
            changed[key] = apply_change(config[key], old, new) if key in config else new
    return changed


def restated(recorded: Any, today: Any, keys: Iterable[str]) -> list[str]:
    """Overrides that give these keys what the run has, where its overrides would not do so today.

    A change of such a key is a change of the run, even to what is composed today.
    """
    old, new = flatten(recorded), flatten(today)
    differing = [key for key in keys if key in old and key in new and old[key] != new[key]]
    values = {key: old[key] for key in differing}
    return [f"{k}={quoted(v) if isinstance(v, str) else show(v)}" for k, v in values.items()]


def typed_keys(overrides: Iterable[str], groups: Container[str]) -> list[str]:
    """The dotted keys of overrides that give values, not choices of groups."""
    parsed = overrides_parser().parse_overrides(list(overrides))
    return [
        override.key_or_group
        for override in parsed
        if override.package is None and override.key_or_group not in groups
        if not override.is_delete()
    ]


def check_secrets(folder: Path, config: dict[str, Any], remedy: str) -> None:
    """Refuse a recorded config without its secrets.

    Args:
        folder: of the run or sweep.
        config: what is to be used of it.
        remedy: what to do; ``{key}`` in it stands for the key.

    Raises:
        UserError: naming the key.
    """
    for key, value in flatten(config).items():
        if has_mask(value):
            told = remedy.replace("{key}", key)
            raise UserError(f"{folder} does not hold the secret {key}: {told}")


def is_unsaved(run: RunFolder) -> bool:
    """Whether a run ended before its first tick was saved: it begins again, in its folder.

    Its checkpoint comes right after the tick's record, so with two records one has been lost.
    """
    saved = run.last_checkpoint.is_file() or run.best_checkpoint.is_file()
    is_done = run.read_facts().get("status") == "done"
    return not saved and not is_done and len(run.read_metrics()) < 2


def find_unfinished(output_dir: str, experiment: str, config: dict[str, Any]) -> RunFolder | None:
    """The newest run of this experiment with this config that is not done and has a checkpoint.

    Without one, the newest that ended before its first tick was saved.
    """
    parent = expand(output_dir, "paths.output_dir") / experiment
    unsaved: RunFolder | None = None
    for path in sorted(parent.glob("*/run.json"), reverse=True):
        folder = RunFolder(path.parent)
        try:
            has_checkpoint = folder.last_checkpoint.is_file()
            is_candidate = has_checkpoint or (unsaved is None and is_unsaved(folder))
            if folder.read_facts().get("status") == "done" or not is_candidate:
                continue
            # A run's config holds no secrets.
            keys = differing_keys(folder.read_config(), mask(config))
        except UserError as error:
            print(f"{error}; this run is passed over")
            continue
        if all(is_free(key) for key in keys):
            if has_checkpoint:
                return folder
            unsaved = folder
    return unsaved
