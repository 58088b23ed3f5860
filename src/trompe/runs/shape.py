"""What the files of a run must look like, so that whoever uses them need not ask again.

A shape is a `Kind` of value, a mapping of names to the shapes of their values, a list of one shape
for all members, `Each` or `Maybe`. An entry may be missing, and one that a shape does not name may
be anything.
"""

import reprlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from trompe.errors import is_number


class Kind(NamedTuple):
    """Values of one kind.

    Args:
        words: what they are, for messages.
        holds: whether a value is one.
    """

    words: str
    holds: Callable[[Any], bool]


class Each(NamedTuple):
    """A mapping with values of one shape, whatever their names."""

    shape: "Shape"


class Maybe(NamedTuple):
    """A value of a shape, or null."""

    shape: "Shape"


Shape = Kind | Mapping[str, Any] | list[Any] | Each | Maybe


def _is_time(value: Any) -> bool:
    try:
        return datetime.fromisoformat(value).year > 1970
    except (TypeError, ValueError):
        return False


TEXT = Kind("text", lambda value: isinstance(value, str))
NUMBER = Kind("a number", is_number)
WHOLE = Kind("a whole number", lambda value: type(value) is int and is_number(value))
TIME = Kind("a time", _is_time)

# In run.json and sweep.yaml: see `trompe.runs.identity`.
IDENTITY: dict[str, Any] = {"id": TEXT, "path": TEXT, "disk": WHOLE, "inode": WHOLE}

# run.json.
FACTS: Shape = {
    **IDENTITY,
    "format": WHOLE,
    "name": TEXT,
    "status": TEXT,
    "error": Maybe(TEXT),
    "kimg": NUMBER,
    "cwd": TEXT,
    "command": [TEXT],
    "data_fingerprint": TEXT,
    "class_names": [TEXT],
    "best": Maybe({"metric": TEXT, "value": NUMBER, "kimg": NUMBER}),
    "sessions": [{"started": TIME, "processes": WHOLE, "from_kimg": NUMBER}],
    "protocols": Each({"better": TEXT}),
    "shown": {"name": TEXT, "group": TEXT, "tags": [TEXT]},
    "trackers": Each(Maybe(TEXT)),
    "packages": Each(TEXT),
    "hardware": {},
    "code": {"commit": Maybe(TEXT), "dirty_diff": Maybe(TEXT)},
    "parent": Maybe({}),
    "init": Maybe({"weights": TEXT, "sha256": TEXT, "kimg": NUMBER, "seen_kimg": NUMBER}),
}

# config.yaml.
CONFIG: Shape = {
    "name": TEXT,
    "seed": WHOLE,
    "kimg": NUMBER,
    "tick_kimg": NUMBER,
    "batch_size": WHOLE,
    "data": {"_target_": TEXT},
    "model": {"_target_": TEXT},
    "metrics": Each({"_target_": TEXT}),
    "evaluation": {"every_kimg": NUMBER},
    "samples": Maybe({"every_kimg": NUMBER, "count": WHOLE}),
    "checkpoint": {"monitor": Maybe(TEXT), "mode": TEXT},
    "trainer": {"accelerator": TEXT, "num_nodes": WHOLE},
    "callbacks": Each(Maybe({"_target_": TEXT})),
    "logger": Each(Maybe({"_target_": TEXT})),
    "paths": {"output_dir": TEXT},
}
# What sampling and measuring need of it, and training besides.
USED = ("seed", "kimg", "tick_kimg", "batch_size", "data._target_", "model._target_")
TRAINED = (
    *USED,
    *("name", "metrics", "callbacks", "logger", "checkpoint", "evaluation", "paths.output_dir"),
    *("trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.precision"),
)

# overrides.yaml, what sweep.yaml needs, and all that is read of it.
OVERRIDES: Shape = [TEXT]
SWEEP: dict[str, Any] = {
    "storage": TEXT,
    "study": TEXT,
    "cwd": TEXT,
    "overrides": [TEXT],
    "flags": [TEXT],
    "experiment": [TEXT],
    "objective": [TEXT],
    "direction": [TEXT],
}
SWEEP_FILE: Shape = {**SWEEP, **IDENTITY, "space": Each(TEXT)}
MAPPING: Shape = {}


def misfit(value: Any, shape: Shape, name: str = "it") -> str | None:
    """What is wrong with a value of `shape`, in words; None if nothing is."""
    if isinstance(shape, Maybe):
        return None if value is None else misfit(value, shape.shape, name)
    if isinstance(shape, Kind):
        return None if shape.holds(value) else f"{name} is {reprlib.repr(value)}, not {shape.words}"
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{name} is {reprlib.repr(value)}, not a list"
        inner: Any = [(str(i), member, shape[0]) for i, member in enumerate(value)]
    else:
        if not isinstance(value, dict):
            return f"{name} is {reprlib.repr(value)}, not a mapping of names to values"
        if isinstance(shape, Each):
            inner = [(str(key), entry, shape.shape) for key, entry in value.items()]
        else:
            inner = [(key, value[key], of) for key, of in shape.items() if key in value]
    prefix = "" if name == "it" else f"{name}."
    found = (misfit(v, s, f"{prefix}{key}") for key, v, s in inner)
    return next((reason for reason in found if reason), None)


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
