"""How a run is shown in every tracker: its name, its group and its tags."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trompe.errors import UserError
from trompe.masking import has_mask, mask
from trompe.runs.index import short_id, trial_of
from trompe.runs.notes import find_tags, read_notes
from trompe.runs.reading import read_yaml
from trompe.runs.resume import is_free
from trompe.runs.shape import SWEEP_FILE
from trompe.runs.variation import as_label, as_number, read_words
from trompe.words import first_key

# Keys that say how a run is recorded, not what is trained.
_RECORDS = {"metrics", "evaluation", "samples", "checkpoint", "tick_kimg"}
_MANY = 32  # characters of words, more than which Trackio's list of runs hides
_LONGEST = 100  # bytes: a name is also that of a folder


@dataclass(frozen=True)
class Shown:
    """How a run is shown. Recorded when it starts, so that it stays the same.

    Args:
        name: what was typed for it, in words, and its short id.
        group: its sweep, or its experiment.
        tags: experiment, model and data.
    """

    name: str
    group: str
    tags: tuple[str, ...]


def describe_run(
    path: Path,
    config: Mapping[str, Any],
    overrides: Iterable[str],
    choices: Mapping[str, str] | None = None,
) -> Shown:
    """How a new run is shown.

    Args:
        path: its folder, which need not exist.
        config: resolved.
        overrides: what was typed for it.
        choices: the options of the config's groups, as far as they are known.
    """
    words = {k: v for k, v in read_words(mask(list(overrides))).items() if not has_mask(v)}
    trial = trial_of(path)
    group = path.parent.name if trial is None else f"sweep {short_id(trial[0])}"
    parts = {**(choices or {}), **words}
    tags = [config["name"], *(parts[key] for key in ("model", "data") if parts.get(key))]
    return Shown(name_run(path, words), group, tuple(dict.fromkeys(tags)))


def name_run(path: Path, words: Mapping[str, str]) -> str:
    """The name of a run: ``lr 2e-4, hinge, seed 1 · 1a2b3c``, ``trial 3: lr 2e-4 · 1a2b3c``.

    The words of a trial are what its sweep varies; of another run, what was typed for it, but for
    what may change when it resumes and how it is recorded. Without any, the experiment is its name.

    Args:
        path: its folder.
        words: what was typed, by key, see `trompe.runs.variation.read_words`.
    """
    trial = trial_of(path)
    varied = None if trial is None else _varied(trial[0])
    if varied is None:
        varied = {k for k in words if not is_free(k) and first_key(k) not in _RECORDS}
    # A seed is read last; an experiment is not told twice.
    keys = sorted((key for key in words if key in varied), key=lambda key: key == "seed")
    values = {key: _short(words[key]) for key in keys}
    experiment = path.parent.name
    label = _shortened(as_label({k: v for k, v in values.items() if v != experiment}))
    if trial is not None:
        name = f"trial {trial[1]}: {label}" if label else f"trial {trial[1]}"
    else:
        name = label or _shortened(experiment)
    return as_part(f"{name} · {short_id(path)}")


def as_part(name: str) -> str:
    """A name that can be a part of a path, as Trackio and TensorBoard make it one."""
    return re.sub(r"[/\\\x00-\x1f]|^\.+", "-", name)


def recorded_as(facts: Mapping[str, Any]) -> Shown | None:
    """How run.json says that a run is shown; None if an older version started it."""
    shown = facts.get("shown", {})
    if not {"name", "group", "tags"} <= shown.keys():
        return None
    return Shown(as_part(shown["name"]), shown["group"], tuple(shown["tags"]))


def as_fact(shown: Shown) -> dict[str, Any]:
    """The same as run.json has it."""
    return {**asdict(shown), "tags": list(shown.tags)}


def all_tags(path: Path, shown: Shown) -> tuple[str, ...]:
    """Its tags, and those that its notes have now."""
    return tuple(dict.fromkeys((*shown.tags, *find_tags(read_notes(path)))))


def _varied(sweep: Path) -> set[str] | None:
    """The keys that a sweep varies; None if that cannot be read."""
    try:
        space = read_yaml(sweep / "sweep.yaml", SWEEP_FILE).get("space")
    except UserError:
        return None
    return None if space is None else {key.lstrip("+") for key in space}


def _short(value: str) -> str:
    """A value in a name: of a path, the end."""
    is_nested = value.startswith(("[", "{"))
    return as_number(value if is_nested else value.rstrip("/").rpartition("/")[2])


def _shortened(label: str) -> str:
    """Without its first words, if it is too long: what is tried is mostly typed last."""
    parts, is_cut = label.split(", "), False
    while len(", ".join(parts)) > _MANY and len(parts) > 1:
        parts, is_cut = parts[1:], True
    short = ", ".join(parts).encode()[:_LONGEST].decode(errors="ignore")
    return f"…, {short}" if is_cut else short
