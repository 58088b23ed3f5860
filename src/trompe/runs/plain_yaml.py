"""YAML of plain values: what trompe writes, and nothing that YAML can do besides.

A mapping, list, text, number, boolean or null. No aliases, which can make gigabytes of a line, no
tags, which can name code, no dates. The values are those that PyYAML's safe loader makes.
"""

import functools
import re
from collections.abc import Callable
from typing import Any

import yaml

from trompe.errors import is_number

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MOST_NODES = 100_000
_LONGEST_NUMBER = 400  # characters; 1:00:00 and so on is a number in YAML, and takes its time
# libyaml refuses what stands for a byte of a file's name that is no UTF-8; PyYAML does not, but
# takes a second for a megabyte.
_HALF, _MOST_SLOWLY = "\\uD", 300_000
DEEPEST = 50  # levels of mappings and lists


# Where a key of the outermost mapping begins; a line that ends a document.
_FIRST_KEY = re.compile(r"(?<=\n)(?=[A-Za-z_])")
_DOCUMENT = re.compile(r"^(---|\.\.\.|%)", re.MULTILINE)


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    def ignore_aliases(self, data: Any) -> bool:
        return True


def dump_yaml(value: Any) -> str:
    """A plain value as YAML, keys in their order, without aliases."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False))


def parse_yaml(text: str) -> Any:
    """The plain value that `dump_yaml` made `text` of.

    Raises:
        ValueError: saying in one line what is wrong with it, and in which line.
    """
    builder = _Builder()
    is_slow = len(text) < _MOST_SLOWLY and _HALF in text
    try:
        loader = (yaml.SafeLoader if is_slow else _Loader)(text)
        try:
            while (event := loader.get_event()) is not None:
                builder.take(event)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise ValueError(_reason(error)) from error
    return builder.value


def parse_yaml_shared(text: str) -> Any:
    """The same, for who reads many texts that have parts in common, and changes none.

    Configs of runs do: what stands below each of their first keys is parsed once, and is the same
    object in all. That takes a third of the time.

    Raises:
        ValueError: as `parse_yaml`.
    """
    if _DOCUMENT.search(text):
        return parse_yaml(text)
    whole: dict[Any, Any] = {}
    try:
        for part in _FIRST_KEY.split(text):
            found = _part(part)
            if not isinstance(found, dict) or not whole.keys().isdisjoint(found):
                return parse_yaml(text)
            whole |= found
    except ValueError:
        return parse_yaml(text)  # which says in which line
    return whole


def _reason(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    where = f"line {mark.line + 1}: " if mark is not None else ""
    return where + " ".join(str(what).split())


@functools.lru_cache(512)
def _part(text: str) -> Any:
    return parse_yaml(text)


class _Builder:
    """Makes the value of a document out of the parser's events, without recursion."""

    def __init__(self) -> None:
        self.value: Any = None
        self._open: list[Any] = []  # mappings and lists that the next value is in
        self._keys: list[Any] = []  # for each, the key that waits for its value
        self._nodes = 0
        self._documents = 0

    def take(self, event: Any) -> None:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._add(_scalar(event), event)
        elif kind is yaml.MappingStartEvent:
            self._begin({}, event)
        elif kind is yaml.SequenceStartEvent:
            self._begin([], event)
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            self._open.pop(), self._keys.pop()
        elif kind is yaml.AliasEvent:
            raise _refused(event, "an alias")
        elif kind is yaml.DocumentStartEvent:
            self._documents += 1
            if self._documents > 1:
                raise _refused(event, "a second document")

    def _begin(self, new: Any, event: Any) -> None:
        if event.tag is not None or event.anchor is not None:
            raise _refused(event, "a tag" if event.tag is not None else "an anchor")
        if len(self._open) >= DEEPEST:
            raise _refused(event, f"more than {DEEPEST} levels")
        self._add(new, event)
        self._open.append(new)
        self._keys.append(_NONE)

    def _add(self, value: Any, event: Any) -> None:
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise _refused(event, f"more than {_MOST_NODES} values")
        if not self._open:
            self.value = value
            return
        inside = self._open[-1]
        if type(inside) is list:
            inside.append(value)
        elif self._keys[-1] is _NONE:
            if isinstance(value, dict | list):
                raise _refused(event, "a key that is a mapping or a list")
            if value in inside:
                raise _refused(event, "a key twice")
            self._keys[-1] = value
        else:
            inside[self._keys[-1]] = value
            self._keys[-1] = _NONE


_NONE: Any = object()


def _refused(event: Any, what: str) -> ValueError:
    return ValueError(f"line {event.start_mark.line + 1} has {what}")


def _scalar(event: Any) -> Any:
    if event.anchor is not None:
        raise _refused(event, "an anchor")
    if not event.implicit[0]:  # quoted, or with a tag
        if event.tag not in (None, "!"):
            raise _refused(event, "a tag")
        return event.value
    try:
        return _plain(event.value)
    except ValueError as error:
        raise _refused(event, str(error)) from error


_safe = yaml.SafeLoader("")
_MAKERS: dict[str, Callable[[Any], Any]] = {
    "str": lambda node: node.value,
    "null": lambda node: None,
    "bool": _safe.construct_yaml_bool,
    "int": _safe.construct_yaml_int,
    "float": _safe.construct_yaml_float,
}


@functools.lru_cache(4096)
def _plain(text: str) -> Any:
    tag = _safe.resolve(yaml.ScalarNode, text, (True, False))
    kind = tag.rpartition(":")[2]
    if kind not in _MAKERS:
        raise ValueError(f"{text[:40]!r}, which YAML takes for a {kind}")
    if kind in ("int", "float") and len(text) > _LONGEST_NUMBER:
        raise ValueError("a number that is too large")
    value = _MAKERS[kind](yaml.ScalarNode(tag, text))
    if kind == "int" and not is_number(value):
        raise ValueError("a number that is too large")
    return value
