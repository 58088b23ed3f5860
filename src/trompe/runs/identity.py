"""What a run or a sweep is known by: an id of its own, wherever its folder lies."""

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def new_identity(path: Path, folder: Path) -> dict[str, Any]:
    """The id of a folder that is being made, and where it is.

    Args:
        path: where it will be.
        folder: where it is now, on the same disk.
    """
    return {"id": secrets.token_hex(8), **_place(path, folder)}


def settled(
    path: Path, record: Mapping[str, Any], id_at: Callable[[Path], str | None]
) -> dict[str, Any]:
    """The identity of a folder that is opened again: moved, renamed or linked, it is the same.

    A copy becomes another: both would write the same trials, and the same run of a dashboard. It
    is one if its original is where the record says, or, where that is gone, if it is another
    folder of the same disk: a folder that is moved within a disk keeps its inode. Between disks,
    a moved folder and a copy cannot be told apart, and it counts as moved.

    Args:
        path: where it is now.
        record: what it knows of itself; empty of a folder of an older version.
        id_at: the id of a folder of its kind at some path; None if there is none.

    Returns:
        id, path, disk and inode, to be recorded; with `copy_of`, the original's id, if it is a
        copy.
    """
    known = record.get("id")
    if known is None:
        return new_identity(path, path)
    place = _place(path, path)
    if _is_copy(place, record, id_at):
        return {**new_identity(path, path), "copy_of": str(known)}
    return {"id": str(known), **place}


def _is_copy(
    place: Mapping[str, Any], record: Mapping[str, Any], id_at: Callable[[Path], str | None]
) -> bool:
    path = Path(place["path"])
    before = Path(record.get("path", path))
    if before.exists():
        if before.samefile(path):
            return False
        if id_at(before) == record["id"]:
            return True
    # An older version recorded no disk, which is that of no folder.
    is_same_disk: bool = record.get("disk") == place["disk"]
    return is_same_disk and record.get("inode") != place["inode"]


def _place(path: Path, folder: Path) -> dict[str, Any]:
    status = folder.stat()
    return {"path": str(path), "disk": status.st_dev, "inode": status.st_ino}
