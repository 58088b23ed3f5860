"""The config keys in which runs differ: what was typed comes first, what follows it is folded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trompe.report.collect import Entry, config_diff
from trompe.report.run_table import BUDGET
from trompe.runs.variation import describe, shortest


@dataclass
class Column:
    """A key and its value in every run.

    Args:
        key: as it is typed.
        values: of every run, None where it has none.
        typed: whether it was, for one of the runs.
        followers: keys that differ because this one does.
    """

    key: str
    values: list[Any]
    typed: bool = False
    followers: list[str] = field(default_factory=list)
    short: str = ""


def find_columns(entries: Sequence[Entry], words: Sequence[Mapping[str, str]]) -> list[Column]:
    """What differs among runs, in the order in which it was typed, then by key.

    A key follows another if it is below one that chose a part (``model.loss._target_`` follows
    ``model.loss``), or has its value in every run (``model.generator_lr`` follows
    ``model.optimizer.lr``, to which it is set). What was typed follows nothing.

    Args:
        entries: the runs.
        words: what was typed for each, see `trompe.runs.variation.read_words`.
    """
    diff = config_diff(entries)
    typed: dict[str, list[Any]] = {}
    for row in describe(words, [entry.config for entry in entries]):
        for key, value in row.items():
            typed.setdefault(key, []).append(value)
    columns = [Column(key, diff.get(key, values), True) for key, values in typed.items()]
    for key, values in diff.items():
        if key in typed:
            continue
        leader = next((column for column in columns if _follows(key, values, column)), None)
        if leader is None:
            columns.append(Column(key, values))
        else:
            leader.followers.append(key)
    for column in columns:
        if column.key == "kimg":  # a run's own kimg is how far it has come
            column.key = BUDGET
        column.short = shortest(column.key, [other.key for other in columns])
    return columns


def _follows(key: str, values: list[Any], column: Column) -> bool:
    name = column.key.replace("/", ".").split("@")[-1]
    return key.startswith(f"{name}.") or values == column.values
