"""Files and folders that are there whole or not at all, whatever happens while they are written.

All is written under a temporary name beside the target and renamed. A reader sees the old content
or the new one, and so does whoever looks after a crash, a kill, a full disk or a loss of power.
"""

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal

from trompe.errors import FileFault

# What `_beside` makes: the stem of the target, a random part, and the endings that are in use.
_LEFTOVER = re.compile(r"\.(?P<stem>.*)\.[0-9a-f]{8}(?P<old>\.old)?\.tmp(\.[^.]*)?", re.DOTALL)


class CannotWrite(FileFault):
    """A file or folder that cannot be written, and what the system says."""

    what = "cannot write"


@contextmanager
def whole_file(
    path: Path, mode: Literal["w", "wb"] = "w", private: bool = False
) -> Iterator[IO[Any]]:
    """An open file that takes the place of `path` at the end; see `whole_path`.

    Args:
        path: the target.
        mode: ``w`` for text, which is UTF-8 with newlines as they are written, or ``wb``.
        private: whether nobody but its owner may read it (0600).

    Raises:
        CannotWrite: for an `OSError`.
    """
    options: dict[str, Any] = {} if mode == "wb" else {"encoding": "utf-8", "newline": ""}
    if private:
        options["opener"] = partial(os.open, mode=0o600)
    with _in_place_of(path, ".tmp") as temporary:
        file = open(temporary, mode, **options)  # noqa: SIM115
        try:
            yield file
        except BaseException:
            # On a full disk closing fails too, and would hide why this ends (Ctrl-C, say).
            with contextlib.suppress(OSError):
                file.close()
            raise
        file.close()


@contextmanager
def whole_path(path: Path) -> Iterator[Path]:
    """A name with the same suffix, for a library to write, whose file takes the place of `path`.

    Missing parent folders are made. After any exception what was there before is there as it was,
    and nothing else.

    Raises:
        CannotWrite: for an `OSError`.
    """
    with _in_place_of(path, f".tmp{path.suffix}") as temporary:
        yield temporary


@contextmanager
def whole_folder(path: Path, replace: bool = False) -> Iterator[Path]:
    """An empty folder that becomes `path` at the end, with all that is in it by then.

    Missing parent folders are made. After any exception no folder is left, or the one before.

    Args:
        path: the target, which is not there or empty.
        replace: whether it may hold something, which is deleted once the new folder is there.

    Raises:
        CannotWrite: for an `OSError`, also of what is written inside.
    """
    path = path.resolve() if replace else path  # a link to the old folder stays one
    temporary, old = _beside(path, ".tmp"), _beside(path, ".old.tmp")
    try:
        with told_as(path):
            temporary.mkdir(parents=True)
            yield temporary
            for folder, _, names in os.walk(temporary):
                for name in names:
                    _sync(Path(folder, name))
            try:
                if replace and path.exists():
                    path.rename(old)
                temporary.rename(path)
            except BaseException:
                with contextlib.suppress(OSError):  # if it was not moved yet
                    old.rename(path)
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Delete what dead processes left half-written in `folder`; only for who holds its lock.

    What is in its subfolders stays: others may write there. So does a whole folder that was moved
    aside for a new one that did not come. What cannot be deleted stays too.
    """
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        found = _LEFTOVER.fullmatch(name)
        if found is None or (found["old"] and not _has_stem(names, found["stem"])):
            continue
        path = folder / name
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def _has_stem(names: list[str], stem: str) -> bool:
    return any(Path(name).stem[:40] == stem for name in names)


@contextmanager
def _in_place_of(path: Path, ending: str) -> Iterator[Path]:
    temporary = _beside(path, ending)
    try:
        with told_as(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            _sync(temporary)
            os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):  # below a file, or on a read-only disk
            temporary.unlink(missing_ok=True)
        raise


@contextmanager
def told_as(path: Path) -> Iterator[None]:
    """Turn an `OSError` of what is written within into a `CannotWrite` of `path`."""
    try:
        yield
    except CannotWrite as error:
        raise CannotWrite(path, error.reason) from error
    except OSError as error:
        raise CannotWrite(path, error.strerror or str(error)) from error


def _beside(path: Path, ending: str) -> Path:
    """A hidden name that nobody else has, also on another machine; not much longer than any."""
    return path.with_name(f".{path.stem[:40]}.{secrets.token_hex(4)}{ending}")


def _sync(path: Path) -> None:
    """Have a file's content on the disk before its name says that it is there.

    Without it a loss of power can leave an empty file under the new name. Every file is synced,
    run.json too, which is replaced up to three times a tick: measured on ext4 on a virtual disk,
    4 KB took 0.5 ms instead of 0.2, and 8 ms (at worst 250) while another process wrote without
    pause; a tick takes seconds. The folder is not synced: after a loss of power the old file may
    be back, which is whole. (That took another 0.2 ms, and 4 ms on the busy disk.)
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
