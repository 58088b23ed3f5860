"""The folder of what can be made again: decoded images, fingerprints, features of references."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

from trompe.errors import UserError
from trompe.files import CannotWrite, remove_leftovers, whole_file
from trompe.locks import Lock


@contextmanager
def writing(cache_dir: Path) -> Iterator[None]:
    """Inside this context files are written below the cache's folder; it never fails itself.

    Who writes shares a lock, and who finds it free first removes the temporary files of processes
    that were killed. On a disk without locks nothing is removed.
    """
    lock = Lock(cache_dir / ".lock")
    # If this fails, so does the writing, which tells what is wrong.
    with contextlib.suppress(OSError, UserError):
        cache_dir.mkdir(parents=True, exist_ok=True)
        _clean_up(cache_dir, lock)
        lock.acquire(wait=True, shared=True)
    try:
        yield
    finally:
        lock.release()


def keep(path: Path, write: Callable[[IO[Any]], object], mode: Literal["w", "wb"] = "w") -> None:
    """Write a file of a folder of the cache; if that fails, only time is lost.

    Args:
        path: ``<cache>/<folder>/<name>``.
        write: is given the open file.
        mode: see `trompe.files.whole_file`.
    """
    with (
        contextlib.suppress(CannotWrite),
        writing(path.parents[1]),
        whole_file(path, mode) as file,
    ):
        write(file)


def _clean_up(cache_dir: Path, lock: Lock) -> None:
    with contextlib.suppress(OSError, UserError):  # another user's lock can only be shared
        if lock.acquire(wait=False):
            for folder in cache_dir.iterdir():
                remove_leftovers(folder)
    lock.release()
