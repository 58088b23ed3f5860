"""What was varied among runs, in words: ``hinge, lr 2e-4, seed 1``."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trompe.errors import show
from trompe.words import first_key

# Keys of a config that say where or how it ran, not what was trained.
WHERE = {"paths", "logger", "name", "trainer"}
# Keys that say where or with what records a run is made, not what is trained.
_ASIDE = WHERE | {"callbacks", "hydra"}


def read_words(overrides: Iterable[str]) -> dict[str, str]:
    """What was typed, by key, without the marks of Hydra's grammar; later words win."""
    found = {}
    for override in overrides:
        key, equals, value = override.partition("=")
        key = key.lstrip("+")
        if equals and first_key(key) not in _ASIDE:
            found[key] = value.strip("'\"")
    return found


def describe(
    words: Sequence[Mapping[str, str]], configs: Sequence[Mapping[str, Any]]
) -> list[dict[str, str]]:
    """For each run, the keys in which what was typed differs among them, with short values.

    Where a run was started without a key that another was given, its config says the value.

    Args:
        words: what was typed for each run, see `read_words`.
        configs: of each, flat with dotted keys.
    """
    keys = list(dict.fromkeys(key for one in words for key in one))
    columns = {}
    for key in keys:
        column = [_value(key, *pair) for pair in zip(words, configs, strict=True)]
        if len(set(column)) > 1:
            columns[key] = column
    # A seed is read last; whatever else, in the order in which it was typed.
    ordered = sorted(columns, key=lambda key: key == "seed")
    return [{key: columns[key][i] for key in ordered} for i in range(len(words))]


def as_label(varied: Mapping[str, str]) -> str:
    """In one line; empty if nothing was varied.

    Words stand alone (``hinge``), all else after the last part of its key (``lr 2e-4``), and after
    more of it where two keys end alike. Numbers are rounded to three digits, whole ones are not.
    """
    parts = []
    for key, value in varied.items():
        name = shortest(key, varied)
        is_word = value.replace("_", "a").replace("-", "a").isalnum() and value[:1].isalpha()
        alone = is_word and value not in ("true", "false", "null", "default")
        parts.append(value if alone else f"{name} {_rounded(value)}")
    return ", ".join(parts)


def shortest(key: str, keys: Iterable[str]) -> str:
    """The end of a key by which it is told from the others."""
    parts = key.replace("/", ".").split(".")
    others = [other.replace("/", ".").split(".") for other in keys if other != key]
    for count in range(1, len(parts)):
        if all(other[-count:] != parts[-count:] for other in others):
            return ".".join(parts[-count:])
    return key


def _value(key: str, words: Mapping[str, str], config: Mapping[str, Any]) -> str:
    if key in words:
        return as_number(words[key])
    if key in config:
        return as_number(config[key])
    return "default"


def _rounded(value: str) -> str:
    try:
        number = float(value)
    except ValueError:
        return value
    return value if number.is_integer() or not math.isfinite(number) else as_number(f"{number:.3g}")


def as_number(value: Any) -> str:
    """A value as it is typed, numbers as short as they can be: ``2e-4`` for 0.0002."""
    if value is None or isinstance(value, bool):
        return show(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    plain = f"{number:.6g}"
    if len(plain) < 6 and "e" not in plain:
        return plain
    mantissa, _, exponent = f"{number:.5e}".partition("e")
    scientific = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return min(plain, scientific, key=len)
