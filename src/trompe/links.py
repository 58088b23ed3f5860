"""Links inside of a folder that is opened: what is written through them lies elsewhere."""

import os
from collections.abc import Iterator
from pathlib import Path

# Trackers' own folders, which they fill with links of their own.
_TRACKERS = {"wandb", "trackio"}


def links(folder: Path) -> list[str]:
    """The symbolic links in a folder, below it too; the folder itself may be reached by one."""
    return sorted(_links(folder, folder))


def _links(folder: Path, root: Path) -> Iterator[str]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return  # nothing can be written there either
    for entry in entries:
        if entry.is_symlink():
            yield str(Path(entry.path).relative_to(root))
        elif entry.is_dir() and entry.name not in _TRACKERS:
            yield from _links(Path(entry.path), root)
