"""Classes of a conditional run, as a person names them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trompe.errors import UserError, show
from trompe.methods.capabilities import FromLatents
from trompe.suggestions import close, did_you_mean

MOST = 32  # classes that are shown where nobody chose any


def class_names(method: Any, facts: Mapping[str, Any]) -> list[str]:
    """A name for each class of a run's method, by its run.json; their numbers if it has none.

    Empty for a method that makes images without labels.
    """
    names: list[str] = facts.get("class_names") or []
    count = method.classes if isinstance(method, FromLatents) else 0
    return names if len(names) == count else [str(i) for i in range(count)]


def choose_labels(label: Any, names: Sequence[str], where: object) -> list[int]:
    """The numbers of the classes asked for.

    Args:
        label: a class by name or number, or several; None for the first `MOST` of all.
        names: of all classes; empty for a model that is given no labels.
        where: the model is from, for messages.

    Raises:
        UserError: if there is no such class, or there are no classes.
    """
    if label is None:
        return list(range(len(names)))[:MOST]
    if not names:
        raise UserError(
            f"label={_told(label)}: the model of {where} makes images without labels: train one "
            "with conditional=true"
        )
    asked = [label] if isinstance(label, str | int) or not isinstance(label, Iterable) else label
    found = list(dict.fromkeys(_number(one, names, where) for one in asked))
    if not found:
        raise UserError("label=[] chooses no class: leave it out for all of them")
    return found


def as_folders(names: Sequence[str], labels: Sequence[int]) -> list[str]:
    """A folder's name for each of the labels, each different, whatever is in the classes' names."""
    plain = [re.sub(r"[^\w .-]", "_", name)[:60].strip(" .") for name in names]
    is_plain = all(plain) and len({name.casefold() for name in plain}) == len(plain)
    return [plain[i] if is_plain else f"{i}_{plain[i]}" for i in labels]


def _number(label: Any, names: Sequence[str], where: object) -> int:
    text = str(label)
    if text in names:
        return names.index(text)
    if not isinstance(label, bool) and text.isdecimal() and int(text) < len(names):
        return int(text)
    folded = text.casefold()
    near = [name for name in names if folded and folded in name.casefold()]
    meant = did_you_mean(near or close(text, names))
    known = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    raise UserError(f"label={_told(label)} is no class of {where}{meant or f': they are {known}'}")


def _told(label: Any) -> str:
    several = isinstance(label, Iterable) and not isinstance(label, str)
    return f"[{','.join(map(show, label))}]" if several else show(label)
