"""Tables of runs: for a terminal, for a pipe, as JSON and CSV."""

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from trompe.errors import UserError
from trompe.report.collect import Entry
from trompe.runs.index import experiment_of, short_id, title_of
from trompe.runs.notes import find_tags, read_notes
from trompe.runs.shape import flatten
from trompe.runs.variation import as_label, describe, read_words
from trompe.streams import visible

ALWAYS = ("status", "kimg", "minutes", "started")
BUDGET = "budget"  # the config's kimg: a run's own is how far it has come
_LEAST = 24  # characters for what was varied
_EDGES = 5  # of the table, and between two columns more
_STYLES = {
    "done": "green",
    "running": "cyan",
    "failed": "red",
    "unreadable": "red",
    "killed": "yellow",
    "interrupted": "yellow",
}


def value_of(entry: Entry, name: str) -> Any:
    """A run's value by that name: of run.json, the best of a metric, or of the config.

    The value of `tag` is the list of its tags.
    """
    if name in ALWAYS:
        return getattr(entry, name)
    if name == BUDGET:
        return entry.config.get("kimg")
    if name == "tag":
        return find_tags(read_notes(entry.run.path))
    found = entry.best(name)
    return entry.config.get(name) if found is None else found


def wide_table(entries: Sequence[Entry], columns: Sequence[str]) -> Table:
    """As wide as needed, with whole paths: nobody can copy a path that is folded."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    for title in (*ALWAYS, *columns, "run"):
        right = title in ("kimg", "minutes") or title in columns
        table.add_column(Text(as_cell(title)), justify="right" if right else "left", no_wrap=True)
    for entry in entries:
        path = entry.run.path
        short = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        cells = [value_of(entry, name) for name in (*ALWAYS, *columns)]
        if entry.problem is not None:
            cells[0] = f"{entry.status}: {entry.problem}"
        table.add_row(*(Text(as_cell(cell)) for cell in (*cells, short)))
    return table


def narrow_table(
    entries: Sequence[Entry], columns: Sequence[str], asked: Sequence[str], width: int
) -> Table:
    """For a terminal: ids that every command takes, what was varied, and how long ago.

    Args:
        entries: the rows.
        columns: metrics and config keys; as many as there is room for.
        asked: those of them that come first in that, the last one before all.
        width: of the terminal, in characters.
    """
    first = [*dict.fromkeys([*reversed(asked), *columns])]
    now = datetime.now(UTC)
    fixed = [
        ("id", [Text(as_cell(short_id(entry.run.path)), "bold") for entry in entries]),
        ("status", [Text(as_cell(e.status), _STYLES.get(e.status, "")) for e in entries]),
        ("kimg", [Text(as_cell(entry.kimg)) for entry in entries]),
        ("started", [Text(ago(entry.began, now), "dim") for entry in entries]),
    ]
    told = [
        as_cell(label if entry.problem is None else entry.problem)
        for entry, label in zip(entries, labels(entries), strict=True)
    ]
    least = min(_LEAST, max(map(len, _cut(told, 0, whole=True)), default=0))
    chosen = _fitting(entries, first, width - least - _EDGES - _widths(fixed))
    if columns and not chosen:  # what was asked for comes before when it began
        del fixed[-1]
        chosen = _fitting(entries, first, width - least - _EDGES - _widths(fixed))
    chosen.sort(key=lambda column: [_folded(name) for name in columns].index(column[0]))
    room = max(width - _EDGES - _widths([*fixed, *chosen]), least)
    names = [Text(name) for name in _cut(told, room)]
    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1))
    table.add_column("id", no_wrap=True)
    table.add_column("run", no_wrap=True)
    table.add_column("status", no_wrap=True)
    ids, statuses, *rest = fixed
    rest[1:1] = chosen
    for title, _ in rest:
        table.add_column(Text(title), justify="right", no_wrap=True, vertical="bottom")
    for row in zip(ids[1], names, statuses[1], *(cells for _, cells in rest), strict=True):
        table.add_row(*row)
    return table


def _fitting(
    entries: Sequence[Entry], columns: Sequence[str], width: int
) -> list[tuple[str, list[Text]]]:
    """Titles and cells of as many columns as there is room for, from the first on."""
    chosen: list[tuple[str, list[Text]]] = []
    for column in columns:
        cells = [Text(_short(value_of(entry, column))) for entry in entries]
        title = _folded(column)
        width -= _width(title, cells)
        if width < 0:
            break
        chosen.append((title, cells))
    return chosen


def _cut(names: Sequence[str], room: int, whole: bool = False) -> list[str]:
    """Names in so many characters: without their experiments if need be, and their ends.

    As a `whole`, without their experiments alone.
    """
    if any(len(name) > room for name in names):
        names = [name.partition(": ")[2] or name for name in names]
    return [n if whole or len(n) <= room else f"…{n[len(n) - room + 1 :]}" for n in names]


def _widths(columns: Sequence[tuple[str, list[Text]]]) -> int:
    return sum(_width(title, cells) for title, cells in columns)


def _width(title: str, cells: Sequence[Text]) -> int:
    """Of a column, with the space around it."""
    return max(map(len, [*title.splitlines(), *(cell.plain for cell in cells)])) + 3


def _folded(name: str) -> str:
    """A name in lines of at most 12 characters, cut at its joints."""
    lines = [""]
    for part in re.findall(r"[^_/.]+[_/.]?", as_cell(name)):
        if lines[-1] and len(lines[-1] + part) > 12:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else as_cell(value)


def labels(entries: Sequence[Entry]) -> list[str]:
    """The experiment of each run, and what was varied among the listed runs of it."""
    groups = defaultdict(list)
    for entry in entries:
        groups[title_of(entry.run.path)].append(entry)
    found: dict[int, str] = {}
    for name, group in groups.items():
        words = [words_of(entry) for entry in group]
        for entry, varied in zip(group, describe(words, _configs(group, words)), strict=True):
            found[id(entry)] = f"{name}: {label}" if (label := as_label(varied)) else name
    return [found[id(entry)] for entry in entries]


def words_of(entry: Entry) -> dict[str, str]:
    """What was typed for a run, by key; empty if that cannot be read."""
    try:
        return read_words(entry.run.read_overrides())
    except UserError:
        return {}


def _configs(group: Sequence[Entry], words: Sequence[dict[str, str]]) -> list[dict[str, Any]]:
    """Of the runs of an experiment, if anything was typed for one of them."""
    if len(group) < 2 or not any(words):
        return [{} for _ in group]
    found = []
    for entry in group:
        try:
            found.append(dict(flatten(entry.run.read_config(is_shared=True))))
        except UserError:
            found.append({})
    return found


def as_dicts(entries: Sequence[Entry], columns: Sequence[str]) -> list[dict[str, Any]]:
    """For scripts: each run with its id, its whole path and its values; None where it has none."""
    return [
        {
            "id": short_id(entry.run.path),
            "experiment": experiment_of(entry.run.path).name,
            **{name: value_of(entry, name) for name in ALWAYS if name != "started"},
            "started": entry.began,
            **{name: value_of(entry, name) for name in columns},
            "tags": find_tags(read_notes(entry.run.path)),
            "path": str(entry.run.path),
            "problem": entry.problem,
        }
        for entry in entries
    ]


def as_text(entries: Sequence[Entry], columns: Sequence[str], format: str) -> str:
    """`as_dicts` as ``json`` or ``csv``."""
    rows = as_dicts(entries, columns)
    if format == "json":
        return json.dumps(rows, indent=1, default=str)
    file = io.StringIO()
    names = ["id", "experiment", *ALWAYS, *columns, "tags", "path", "problem"]
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "tags": " ".join(row["tags"])} for row in rows)
    return file.getvalue().rstrip("\n")


def ago(began: str | None, now: datetime) -> str:
    """How long ago that was, in its largest unit."""
    if began is None:
        return ""
    seconds = (now - datetime.fromisoformat(began)).total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return "just now"


def as_cell(value: Any) -> str:
    """A value in a table's cell, without what a terminal would take for a command."""
    if isinstance(value, float):
        return f"{value:.5g}"
    return "" if value is None else visible(str(value))
