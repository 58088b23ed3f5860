"""What a run or a sweep is known by: an id of its own, wherever its folder lies."""

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def new_identity(path: Path) -> dict[str, str]:
    """The id of a folder that is being made, and where it is."""
    return {"id": secrets.token_hex(8), "path": str(path)}


def settled(
    path: Path, record: Mapping[str, Any], id_at: Callable[[Path], str | None]
) -> dict[str, str]:
    """The identity of a folder that is opened again: moved, renamed or linked, it is the same.

    A copy beside its original becomes another: both would write the same trials, and the same
    run of a dashboard.

    Args:
        path: where it is now.
        record: what it knows of itself; empty of a folder of an older version.
        id_at: the id of a folder of its kind at some path; None if there is none.

    Returns:
        id and path, to be recorded; with `copy_of`, the original's id, if it is a copy.
    """
    known, before = record.get("id"), Path(record.get("path", path))
    if known is None:
        return new_identity(path)
    is_elsewhere = before.exists() and not before.samefile(path)
    if is_elsewhere and id_at(before) == known:
        return {**new_identity(path), "copy_of": str(known)}
    return {"id": str(known), "path": str(path)}
