"""What a mistyped word may have meant: commands, groups, options and keys."""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches
from typing import Any

from trompe import reference

_MOST = 3  # suggestions


def did_you_mean(found: Iterable[str]) -> str:
    """``: did you mean a or b?``, or nothing."""
    words = list(found)[:_MOST]
    return f": did you mean {' or '.join(words)}?" if words else ""


def close(word: str, known: Iterable[str]) -> list[str]:
    """Of known words those that are nearly the same, the nearest first."""
    return get_close_matches(word, list(known), _MOST, cutoff=0.6)


def for_composition(text: str, command: str, arguments: Iterable[str]) -> str | None:
    """The line for what Hydra or OmegaConf says of a word, where it is mistyped or missing.

    Args:
        text: their message.
        command: whose config is composed.
        arguments: of the command line.
    """
    if found := re.match(r"Could not override '([^'@]+)'", text):
        return for_key(found[1], command, arguments)
    if found := re.match(r".*Could not find '(.+)/([^/']+)'", text):
        group, option = found.groups()
        known = reference.options(group)
        choices = f"the choices are {', '.join(known)}" if known else "there is no such file"
        if meant := did_you_mean(close(option, known)):
            return f"{group}={option} is not known{meant} {choices[:1].upper()}{choices[1:]}"
        return f"{group}={option} is not known: {choices}"
    if found := re.match(r"Missing mandatory value: \S+\s+full_key: (\S+)", text):
        return _missing(found[1], command, arguments)
    return None


def _missing(key: str, command: str, arguments: Iterable[str]) -> str:
    group, _, rest = key.partition(".")
    chosen = reference.groups(command) | dict(reference.chosen(command, arguments))
    keys: Iterable[reference.Key] = reference.read(command).keys
    if rest and chosen.get(group) in reference.options(group):
        keys = reference.keys_of(f"{group}/{chosen[group]}")
    comment = next((one.comment for one in keys if one.name in (key, rest)), "")
    return f"{key} is missing: give {key}=...{': ' if comment else ''}{comment}"


def for_key(word: str, command: str, arguments: Iterable[str]) -> str:
    """The line for a key that the config does not have.

    Args:
        word: as it was typed, without its value.
        command: whose config it is.
        arguments: of the command line; groups that they choose decide on the keys.
    """
    known = _known(command, arguments)
    return f"there is no key {word}{did_you_mean(similar(word, known))}"


def similar(word: str, known: Iterable[str]) -> list[str]:
    """Keys that a mistyped one may have meant, the likeliest first.

    Those whose last parts are the same (``lr`` is ``model.optimizer.lr``, and so is
    ``learning_rate``), else those that are spelled nearly the same, as a whole or in that part.
    """
    keys = list(dict.fromkeys(known))
    last, initials = _plain(word), "".join(part[:1] for part in _leaf(word).split("_"))
    same = [key for key in keys if _is_whole(key, last)]
    if not same and len(initials) > 1:
        same = [key for key in keys if _leaf(key) == initials]
    if not same and len(last) > 3:  # warmup is warmup_kimg
        same = [key for key in keys if _plain(_leaf(key)).startswith(last)]
    if same:
        return sorted(same, key=lambda key: (key.count("."), keys.index(key)))
    scores = {
        key: max(_likeness(word, key), _likeness(_leaf(word), _leaf(key)) - 0.1) for key in keys
    }
    near = [key for key in keys if scores[key] >= 0.7]
    return sorted(near, key=lambda key: -scores[key])


def _leaf(key: str) -> str:
    return key.rpartition(".")[2]


def _plain(key: str) -> str:
    return re.sub("[_-]", "", key).lower()


def _is_whole(key: str, last: str) -> bool:
    """Whether a key's end begins where one of its parts does."""
    return f".{_plain(key)}".endswith(f".{last}")


def _likeness(a: str, b: str) -> float:
    return SequenceMatcher(None, _plain(a), _plain(b)).ratio()


def _known(command: str, arguments: Iterable[str]) -> list[str]:
    """Groups, and keys of the config with the choices of the command line."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf

    from trompe.command import config_dir

    # `trompe sweep` passes what it does not know on to `trompe train`.
    roots = ["sweep", "train"] if command == "sweep" else [command]
    known: list[str] = []
    hydra = GlobalHydra.instance()
    before = hydra.hydra
    try:
        for root in roots:
            groups = reference.groups(root)
            chosen = [word for word in arguments if word.partition("=")[0] in groups]
            hydra.clear()  # of a command that is at work
            with initialize_config_dir(config_dir(), version_base="1.3"):
                config = compose(root, chosen)
            known += [*groups, *_keys(OmegaConf.to_container(config))]
    except (HydraException, ValueError):  # the choices are wrong too, or null
        return [group for root in roots for group in reference.groups(root)]
    finally:
        hydra.hydra = before
    return known


def _keys(config: Any, prefix: str = "") -> list[str]:
    """All keys with dots, the nearest to the root first."""
    here = [key for key in config if not str(key).startswith("_")]
    found = [f"{prefix}{key}" for key in here]
    for key in here:
        if isinstance(config[key], dict):
            found += _keys(config[key], f"{prefix}{key}.")
    return found
