"""What the YAML files of `conf/` say about themselves: purposes, keys, values, comments."""

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from trompe.command import config_dir

# Groups that are no choice of the user's.
_HIDDEN = ("hydra", "paths")


@dataclass(frozen=True)
class Key:
    """A key of a file.

    Attributes:
        name: with dots, from the file's root.
        value: as it is written; empty for one that holds others.
        comment: in one line.
    """

    name: str
    value: str
    comment: str


@dataclass(frozen=True)
class File:
    """A YAML file of `conf/`.

    Attributes:
        purpose: the comment at its beginning, in one line.
        keys: in the file's order; those that begin with an underscore are left out.
        defaults: the entries of its defaults list.
        is_global: whether its keys begin at the root of the config, not at its group.
    """

    purpose: str
    keys: tuple[Key, ...]
    defaults: tuple[Any, ...]
    is_global: bool = False


@functools.cache
def read(name: str) -> File:
    """A file of `conf/`, by its path without the ending, such as ``model/dcgan``."""
    text = Path(config_dir(), f"{name}.yaml").read_text(encoding="utf-8")
    lines = text.splitlines()
    head = []
    for line in lines:
        if not line.startswith("#"):
            break
        if "@package" not in line:
            head.append(line.lstrip("# "))
    root: Any = yaml.compose(text)
    keys = _keys(root, lines, "") if isinstance(root, yaml.MappingNode) else iter(())
    defaults = (yaml.safe_load(text) or {}).get("defaults", [])
    is_global = "# @package _global_" in lines
    return File(" ".join(head), tuple(keys), tuple(defaults), is_global)


def _keys(node: yaml.MappingNode, lines: list[str], prefix: str) -> Iterator[Key]:
    for key, value in node.value:
        if key.value == "defaults" or key.value.startswith("_") or _is_part(value):
            continue
        name = f"{prefix}{key.value}"
        nested = isinstance(value, yaml.MappingNode) and value.value and not value.flow_style
        row = key.end_mark.line
        start = key.end_mark.column + 1 if nested else value.end_mark.column
        row_of_value = row if nested else value.end_mark.line
        comment = _comment(lines, row_of_value, start) or _comment_above(lines, row, key)
        yield Key(name, "" if nested else _written(lines, value), comment)
        if nested:
            yield from _keys(value, lines, f"{name}.")


def _is_part(value: yaml.Node) -> bool:
    """Whether it is an object in one line: not what is changed by hand."""
    is_mapping = isinstance(value, yaml.MappingNode) and value.flow_style
    return is_mapping and any(key.value == "_target_" for key, _ in value.value)


def _written(lines: list[str], value: yaml.Node) -> str:
    first, last = value.start_mark, value.end_mark
    if first.line == last.line:
        text: str = lines[first.line][first.column : last.column]
        return text
    return str(yaml.safe_load(yaml.serialize(value)))


def _comment(lines: list[str], row: int, column: int) -> str:
    """The comment behind a value, with the lines below it that go on at the same place."""
    behind = lines[row][column:] if row < len(lines) else ""
    place = column + behind.find("#")
    if not behind.lstrip().startswith("#"):
        return ""
    parts = [behind]
    for line in lines[row + 1 :]:
        if line[:place].strip() or line[place : place + 1] != "#":
            break
        parts.append(line)
    return " ".join(part.strip().lstrip("# ") for part in parts)


def _comment_above(lines: list[str], row: int, key: yaml.Node) -> str:
    """The comment in the lines above a key, at its indentation."""
    start, parts = key.start_mark.column, []
    for line in reversed(lines[:row]):
        if line[:start].strip() or line[start : start + 1] != "#":
            break
        parts.append(line.strip().lstrip("# "))
    at_top = row - len(parts) == 0
    return "" if at_top else " ".join(reversed(parts))


def options(group: str) -> list[str]:
    """The files of a group, such as ``model``, by name."""
    return sorted(file.stem for file in Path(config_dir(), group).glob("*.yaml"))


def groups_below(group: str) -> list[str]:
    """Groups within a group, such as ``model/augment``."""
    folders = (folder for folder in Path(config_dir(), group).iterdir() if folder.is_dir())
    return sorted(f"{group}/{folder.name}" for folder in folders if folder.name != "base")


def prefix(group: str, option: str) -> str:
    """What the keys of an option begin with in the whole config."""
    return "" if read(f"{group}/{option}").is_global else f"{group.replace('/', '.')}."


def first_sentence(text: str) -> str:
    """What a comment says first."""
    return re.split(r"(?<!et al)(?<!sec)\. ", text, maxsplit=1)[0].rstrip(".")


def groups(name: str) -> dict[str, str]:
    """Groups that a command's root file chooses from, and what it chooses, as it is typed."""
    found = {}
    for entry in read(name).defaults:
        if isinstance(entry, dict):
            for group, chosen in entry.items():
                if group not in _HIDDEN:
                    text = chosen if not isinstance(chosen, list) else f"[{','.join(chosen)}]"
                    found[group] = "null" if text is None else str(text)
    return found


def chosen(command: str, words: Iterable[str]) -> list[tuple[str, str]]:
    """Groups and options that a command line names."""
    found = []
    for word in words:
        group, _, value = word.lstrip("+").partition("=")
        for option in value.strip("[]").split(","):
            if group in groups(command) and option in options(group):
                found.append((group, option))
    return found


def keys_of(name: str) -> list[Key]:
    """Keys of a file and of those it begins with, the later ones winning."""
    file, folder = read(name), name.rpartition("/")[0]
    found: dict[str, Key] = {}
    for entry in [*file.defaults, *([] if "_self_" in file.defaults else ["_self_"])]:
        if entry == "_self_":
            keys = list(file.keys)
        elif isinstance(entry, str):
            keys = keys_of(f"{folder}/{entry.partition('@')[0]}" if folder else entry)
        else:
            continue
        for key in keys:
            before = found.get(key.name)
            comment = key.comment or (before.comment if before else "")
            found[key.name] = Key(key.name, key.value, comment)
    return list(found.values())
