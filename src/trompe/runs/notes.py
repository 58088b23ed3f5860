"""Notes on a run, by its users: notes.md in its folder, in which `#word` is a tag."""

import os
import re
from pathlib import Path

from trompe.errors import UserError
from trompe.files import whole_file
from trompe.runs.reading import Unreadable, read_bytes

_LARGEST = 100_000  # bytes
_TAG = re.compile(r"(?<![\w&#/])#([^\W\d][\w-]*)")


def read_notes(run: Path) -> str:
    """The notes on the run in that folder; empty if there are none, or they cannot be read."""
    try:
        return _read(run / "notes.md")
    except Unreadable:
        return ""


def find_tags(notes: str) -> list[str]:
    """Tags in the order in which they appear, each once, without the ``#``."""
    return list(dict.fromkeys(_TAG.findall(notes)))


def add_note(run: Path, text: str) -> str:
    """Append a paragraph, and return all notes.

    Raises:
        UserError: if the notes cannot be read or written, or would become too long.
    """
    path = run / "notes.md"
    notes = f"{_read(path)}\n\n{text.strip()}".strip() + "\n"
    if len(notes.encode()) > _LARGEST:
        raise UserError(f"{path} would be longer than {_LARGEST:,} bytes: shorten it by hand")
    with whole_file(path) as file:
        file.write(notes)
    return notes


def _read(path: Path) -> str:
    if not os.path.lexists(path):
        return ""
    return read_bytes(path, _LARGEST).decode(errors="replace").strip()
