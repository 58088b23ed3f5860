"""The runs task: a table of runs on the terminal."""

import operator
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from omegaconf import DictConfig
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from trompe.errors import UserError, check_count, show
from trompe.paths import expand
from trompe.report.collect import Entry, protocol_groups, read_entries
from trompe.report.run_table import ALWAYS, as_cell, as_text, narrow_table, value_of, wide_table

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
_FORMATS = ("table", "json", "csv")
_SECONDS = 2.0  # between two looks, when watching


def list_runs(cfg: DictConfig, console: Console | None = None) -> list[Entry]:
    """Print the runs that `cfg` asks for, and return them in that order.

    Raises:
        UserError: for a condition that cannot be read, a name that no run has, and for sorting by
            a metric that was measured by different protocols.
    """
    _check(cfg)
    listing = _list(cfg)
    if cfg.get("format", "table") != "table":
        print(as_text(listing.shown, listing.columns, cfg.format))
    elif cfg.get("watch"):
        _watch(cfg)
    else:
        console = console or (Console() if sys.stdout.isatty() else Console(width=1000))
        console.print(_table(console, listing))
        for note in listing.notes:
            print(note)
    return listing.shown


def _check(cfg: DictConfig) -> None:
    if cfg.limit is not None:
        check_count("limit", cfg.limit)
    if cfg.get("format", "table") not in _FORMATS:
        raise UserError(f"format={show(cfg.format)} is not one of {', '.join(_FORMATS)}")
    if not isinstance(cfg.sort, str):
        raise UserError(f"sort={show(cfg.sort)} must be the name of a metric or a config key")
    if cfg.get("watch") and not sys.stdout.isatty():
        raise UserError("watch=true needs a terminal: in a pipe, leave it out")


class _Listing(NamedTuple):
    shown: list[Entry]
    columns: list[str]
    asked: list[str]
    notes: list[str]


def _list(cfg: DictConfig) -> _Listing:
    """The runs in order, what to show of them, and what to say below."""
    folders = [folder for folder in cfg.folders if expand(folder, "folders").is_dir()]
    if not folders:
        raise UserError(f"there is no folder {', '.join(map(str, cfg.folders))}")
    named = _named(cfg)
    entries = read_entries(folders, [*named, *cfg.columns])
    total = len(entries)
    for condition in cfg.where:
        entries = _holding(entries, condition)
    entries, count = _sorted(entries, cfg.sort)
    shown = _limited(entries, count, cfg.limit, is_falling=cfg.sort.startswith("-"))
    names = list(dict.fromkeys(name for entry in entries for name in entry.metric_names()))
    notes = []
    if len(shown) < len(entries):
        notes.append(f"{len(shown)} of {len(entries)} runs: limit=null shows all")
    if unreadable := sum(entry.problem is not None for entry in entries):
        bad = f"{unreadable} of {total} runs cannot be read"
        notes.append(f"{bad}: where=status==unreadable shows them")
    for name in names:
        groups, fields = protocol_groups(entries, name)
        if len(groups) > 1:
            differ = f"{len(groups)} protocols, which differ in {', '.join(fields)}"
            notes.append(f"{as_cell(name)}: {differ}")
    asked = [*named, *cfg.columns]
    return _Listing(shown, list(dict.fromkeys([*names, *asked])), asked, notes)


def _table(console: Console, listing: _Listing) -> Table:
    if console.is_terminal:
        return narrow_table(listing.shown, listing.columns, listing.asked, console.width)
    return wide_table(listing.shown, listing.columns)


def _watch(cfg: DictConfig) -> None:
    """Show the table again and again, until Ctrl-C."""
    with Live(auto_refresh=False, screen=True) as live:
        while True:
            listing = _list(cfg)
            notes = [Text(note, "dim") for note in listing.notes]
            live.update(Group(_table(live.console, listing), *notes), refresh=True)
            time.sleep(_SECONDS)


def _named(cfg: DictConfig) -> list[str]:
    """Keys that the conditions and the order refer to."""
    found = [_split(condition)[0] for condition in cfg.where]
    return [name for name in (*found, cfg.sort.lstrip("-")) if name not in (*ALWAYS, "run")]


def _holding(entries: list[Entry], condition: str) -> list[Entry]:
    name, compare, text = _split(condition)
    values = [value_of(entry, name) for entry in entries]
    if _is_unknown(entries, values):
        raise UserError(f"where={condition}: no run has a {name}")

    def holds(value: Any) -> bool:
        if isinstance(value, list) and compare in (operator.eq, operator.ne):
            return (text in value) == (compare is operator.eq)
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                return compare(value, float(text))
            except ValueError as error:
                raise UserError(
                    f"where={condition}: {name} is a number, {text!r} is not"
                ) from error
        return value is not None and compare(str(value).lower(), text.lower())

    return [entry for entry, value in zip(entries, values, strict=True) if holds(value)]


def _is_unknown(entries: Sequence[Entry], values: Iterable[Any]) -> bool:
    """Whether none has a value, though some could."""
    can_have = any(entry.problem is None for entry in entries)
    return can_have and all(value is None for value in values)


def _split(condition: str) -> tuple[str, Callable[[Any, Any], bool], str]:
    match = re.fullmatch(r"([^<>=!]+)(<=|>=|!=|==|<|>)(.*)", condition)
    if match is None:
        raise UserError(
            f"where={condition} is not a condition such as 'kimg>100' or model.loss==hinge"
        )
    return match[1].strip(), _OPERATORS[match[2]], match[3].strip()


def _sorted(entries: list[Entry], key: str) -> tuple[list[Entry], int]:
    """The runs in order, and how many have a value to sort by; the others come last."""
    name, falling = key.lstrip("-"), key.startswith("-")
    values = {id(entry): value_of(entry, name) for entry in entries}
    if _is_unknown(entries, values.values()):
        raise UserError(f"sort={key}: no run has a {name}")
    groups, fields = protocol_groups(entries, name)
    if len(groups) > 1:
        raise UserError(
            f"sort={key}: {name} was measured by {len(groups)} protocols, which differ in "
            f"{', '.join(fields)}; such values cannot be ranked: choose runs by where=, or measure "
            "them the same way with trompe evaluate"
        )
    have = [entry for entry in entries if values[id(entry)] is not None]
    numbers = all(isinstance(values[id(entry)], int | float) for entry in have)
    order = sorted(
        have,
        key=lambda entry: values[id(entry)] if numbers else str(values[id(entry)]),
        reverse=falling,
    )
    rest = [entry for entry in entries if values[id(entry)] is None]
    return [*order, *rest], len(order)


def _limited(entries: list[Entry], count: int, limit: int | None, is_falling: bool) -> list[Entry]:
    """The end of the order that was asked for; then, as far as there is room, what has no value."""
    if not limit:
        return entries
    order, rest = entries[:count], entries[count:]
    chosen = order[:limit] if is_falling else order[-limit:]
    return [*chosen, *rest[: limit - len(chosen)]]
