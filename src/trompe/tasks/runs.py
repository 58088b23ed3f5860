"""The runs task: a table of runs on the terminal."""

import operator
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich import box
from rich.console import Console
from rich.table import Table

from trompe.errors import UserError
from trompe.report.collect import Entry, protocol_groups, read_entries

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
_ALWAYS = ("status", "kimg", "minutes", "started")


def list_runs(cfg: DictConfig, console: Console | None = None) -> list[Entry]:
    """Print the runs that `cfg` asks for, and return them in that order.

    Raises:
        UserError: for a condition that cannot be read, a name that no run has, and for sorting by
            a metric that was measured by different protocols.
    """
    folders = [folder for folder in cfg.folders if Path(folder).expanduser().is_dir()]
    if not folders:
        raise UserError(f"there is no folder {', '.join(cfg.folders)}")
    entries = read_entries(folders)
    for condition in cfg.where:
        entries = [entry for entry in entries if _holds(entry, condition, entries)]
    entries = _sorted(entries, cfg.sort)
    shown = entries[-cfg.limit :] if cfg.limit and not cfg.sort.startswith("-") else entries
    if cfg.limit and cfg.sort.startswith("-"):
        shown = entries[: cfg.limit]
    names = list(dict.fromkeys(name for entry in entries for name in entry.metric_names()))
    columns = list(dict.fromkeys([*names, *_named(cfg), *cfg.columns]))
    # As wide as needed: nobody can copy a path that is folded.
    (console or Console(width=1000)).print(_table(shown, columns))
    if len(shown) < len(entries):
        print(f"{len(shown)} of {len(entries)} runs: limit=null shows all")
    for name in names:
        groups, fields = protocol_groups(entries, name)
        if len(groups) > 1:
            print(f"{name}: {len(groups)} protocols, which differ in {', '.join(fields)}")
    return shown


def _named(cfg: DictConfig) -> list[str]:
    """Keys that the conditions and the order refer to."""
    found = [_split(condition)[0] for condition in cfg.where]
    return [name for name in (*found, cfg.sort.lstrip("-")) if name not in (*_ALWAYS, "run")]


def _table(entries: Sequence[Entry], columns: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for title in (*_ALWAYS, *columns, "run"):
        right = title in ("kimg", "minutes") or title in columns
        table.add_column(title, justify="right" if right else "left", no_wrap=True)
    for entry in entries:
        path = entry.run.path
        short = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        cells = [value_of(entry, name) for name in (*_ALWAYS, *columns)]
        table.add_row(*(_show(cell) for cell in cells), str(short))
    return table


def value_of(entry: Entry, name: str) -> Any:
    """A run's value by that name: of run.json, the best of a metric, or of the config."""
    if name in _ALWAYS:
        return getattr(entry, name)
    found = entry.best(name)
    return entry.config.get(name) if found is None else found


def _holds(entry: Entry, condition: str, entries: Sequence[Entry]) -> bool:
    name, compare, text = _split(condition)
    if all(value_of(other, name) is None for other in entries):
        raise UserError(f"where={condition}: no run has a {name}")
    value = value_of(entry, name)
    if value is None:
        return False
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return compare(value, float(text))
        except ValueError as error:
            raise UserError(f"where={condition}: {name} is a number, {text!r} is not") from error
    return compare(str(value).lower(), text.lower())


def _split(condition: str) -> tuple[str, Callable[[Any, Any], bool], str]:
    match = re.fullmatch(r"([^<>=!]+)(<=|>=|!=|==|<|>)(.*)", condition)
    if match is None:
        raise UserError(
            f"where={condition} is not a condition such as 'kimg>100' or model.loss==hinge"
        )
    return match[1].strip(), _OPERATORS[match[2]], match[3].strip()


def _sorted(entries: list[Entry], key: str) -> list[Entry]:
    name, falling = key.lstrip("-"), key.startswith("-")
    values = {id(entry): value_of(entry, name) for entry in entries}
    if entries and all(value is None for value in values.values()):
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
    return [*order, *(entry for entry in entries if values[id(entry)] is None)]


def _show(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    return "" if value is None else str(value)
