"""Named files, in a folder or a zip archive, behind one interface."""

import os
import threading
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from trompe.errors import UserError


class Files(Protocol):
    """Files below `path`, named by their relative paths with forward slashes."""

    path: Path

    def names(self) -> list[str]:
        """All files, in any order."""

    def read(self, name: str) -> bytes:
        """The content of a file; may be called from several threads."""

    def checksums(self, names: list[str]) -> list[tuple[int, int]]:
        """(CRC-32, bytes) of each file's content."""

    def states(self, names: list[str]) -> list[tuple[str, int, int]] | None:
        """(name, bytes, nanosecond of change) of each file, or None if checksums cost nothing."""


class Directory:
    """The files of a folder. Links are followed, but never twice."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        """All files below the folder."""
        found, seen = [], set()
        for folder, folders, files in os.walk(self.path, followlinks=True):
            real = os.path.realpath(folder)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            relative = Path(folder).relative_to(self.path)
            found += [(relative / file).as_posix() for file in files]
        return found

    def read(self, name: str) -> bytes:
        """The content of a file."""
        return (self.path / name).read_bytes()

    def checksums(self, names: list[str]) -> list[tuple[int, int]]:
        """(CRC-32, bytes) of each file; reads them all."""

        def checksum(name: str) -> tuple[int, int]:
            try:
                content = self.read(name)
            except OSError:
                # It will be reported as an image that cannot be decoded.
                return 0, -1
            return zlib.crc32(content), len(content)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(checksum, names))

    def states(self, names: list[str]) -> list[tuple[str, int, int]]:
        """(name, bytes, nanosecond of change) of each file."""
        states = []
        for name in names:
            try:
                status = (self.path / name).stat()
            except OSError:
                states.append((name, -1, -1))
            else:
                states.append((name, status.st_size, status.st_mtime_ns))
        return states


class OneFile(Directory):
    """A file, as a folder that holds nothing else.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path.parent)
        self._name = path.name

    def names(self) -> list[str]:
        """The file's own name."""
        return [self._name]


class ZipArchive:
    """The files of a zip archive; they are only read in memory, so unsafe names do no harm.

    Args:
        path: the archive.
        location: what to call it in error messages.

    Raises:
        UserError: if it is no archive, is damaged or needs a password.
    """

    def __init__(self, path: Path, location: str) -> None:
        self.path = path
        # ZipFile counts its readers without a lock.
        self._lock = threading.Lock()
        try:
            self._archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise UserError(
                f"{location} is neither a folder nor a zip archive that opens: {error}"
            ) from error
        entries = [entry for entry in self._archive.infolist() if not entry.is_dir()]
        if any(entry.flag_bits & 1 for entry in entries):
            raise UserError(f"{location} needs a password: unpack it and give the folder")
        self._entries = {_clean(entry.filename): entry for entry in entries}

    def names(self) -> list[str]:
        """All files of the archive."""
        return list(self._entries)

    def read(self, name: str) -> bytes:
        """The unpacked content of a file."""
        with self._lock:
            return self._archive.read(self._entries[name])

    def checksums(self, names: list[str]) -> list[tuple[int, int]]:
        """(CRC-32, bytes) of each file, as the archive lists them."""
        return [(self._entries[name].CRC, self._entries[name].file_size) for name in names]

    def states(self, names: list[str]) -> None:
        """None: the checksums are there."""


def _clean(name: str) -> str:
    parts = name.replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", ".", ".."))
