"""Going on with a run: which folder, and whether its config is still the one asked for."""

from pathlib import Path
from typing import Any

from trompe.errors import UserError
from trompe.runs.folder import RunFolder

# What may change between sessions of one run without making it another experiment.
FREE_KEYS = ("kimg", "run", "resume", "paths", "logger", "trainer.num_nodes")


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


def differing_keys(old: dict, new: dict) -> dict[str, tuple[Any, Any]]:
    """Dotted keys whose values differ, each with (old, new); a missing one counts as None."""
    a, b = flatten(old), flatten(new)
    return {k: (a.get(k), b.get(k)) for k in sorted({*a, *b}) if a.get(k) != b.get(k)}


def is_free(key: str) -> bool:
    """Whether a dotted key may change when a run is resumed."""
    return any(key == free or key.startswith(f"{free}.") for free in FREE_KEYS)


def patch(config: dict, before: dict, after: dict, where: str) -> dict:
    """`config` with the change from `before` to `after`, which may concern free keys only.

    Args:
        config: the resolved config of the run folder.
        before: what the folder's recorded overrides compose to today.
        after: what they compose to together with the new overrides.
        where: the folder, for the message.

    Raises:
        UserError: if a key that makes the experiment would change; all of them are shown.
    """
    changes = differing_keys(before, after)
    refused = {k: v for k, v in changes.items() if not is_free(k)}
    if refused:
        shown = ", ".join(f"{k}: {old!r} -> {new!r}" for k, (old, new) in refused.items())
        raise UserError(
            f"{where} was trained with another config ({shown}): leave these out to go on with "
            "it, or start a new run without run="
        )
    free = {key.split(".")[0] for key in changes}
    return {**config, **{key: after[key] for key in free if key in after}}


def find_unfinished(output_dir: str, experiment: str, config: dict) -> RunFolder | None:
    """The newest run of this experiment with this config that has a checkpoint and is not done."""
    parent = Path(output_dir).expanduser() / experiment
    for path in sorted(parent.glob("*/run.json"), reverse=True):
        folder = RunFolder(path.parent)
        if folder.read_facts().get("status") == "done" or not folder.last_checkpoint.is_file():
            continue
        if all(is_free(key) for key in differing_keys(folder.read_config(), config)):
            return folder
    return None
