"""Resuming a run: which folder, and whether its config is still the one asked for."""

from pathlib import Path
from typing import Any

from trompe.engine.hardware import device_type
from trompe.runs.run_folder import RunFolder

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
)


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts and lists as one dict with dotted keys."""
    if isinstance(config, dict) and config:
        items: Any = config.items()
    elif isinstance(config, list) and config:
        items = enumerate(config)
    else:
        return {prefix: config}
    flat: dict[str, Any] = {}
    for key, value in items:
        flat.update(flatten(value, f"{prefix}.{key}" if prefix else str(key)))
    return flat


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


def find_unfinished(output_dir: str, experiment: str, config: dict[str, Any]) -> RunFolder | None:
    """The newest run of this experiment with this config that has a checkpoint and is not done."""
    parent = Path(output_dir).expanduser() / experiment
    for path in sorted(parent.glob("*/run.json"), reverse=True):
        folder = RunFolder(path.parent)
        if folder.read_facts().get("status") == "done" or not folder.last_checkpoint.is_file():
            continue
        if all(is_free(key) for key in differing_keys(folder.read_config(), config)):
            return folder
    return None
