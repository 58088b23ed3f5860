"""Named files, in a folder or a zip archive, behind one interface, read within limits."""

import bz2
import copy
import io
import lzma
import os
import stat
import threading
import zipfile
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, NoReturn, Protocol

from trompe.data.limits import LIMITS, Limits, Unreadable, explained
from trompe.errors import UserError

# What Python's zipfile unpacks; the last since 3.14.
_METHODS = ("ZIP_STORED", "ZIP_DEFLATED", "ZIP_BZIP2", "ZIP_LZMA", "ZIP_ZSTANDARD")
_UNPACKED = {getattr(zipfile, name) for name in _METHODS if hasattr(zipfile, name)}
# https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.4.5.
_METHOD_NAMES = {1: "Shrink", 6: "Implode", 9: "Deflate64", 93: "Zstandard", 95: "XZ", 98: "PPMd"}
# Bytes unpacked at once. With LZMA they are what goes in, of which these make 30 MB at most.
_PIECE = 4096


class Files(Protocol):
    """Files below `path`, named by their relative paths with forward slashes."""

    path: Path

    def names(self) -> list[str]:
        """All files, in any order."""

    def read(self, name: str) -> bytes:
        """The content of a file; may be called from several threads.

        Raises:
            Unreadable: if it cannot be read, or is too large.
        """

    def checksums(self, names: list[str]) -> list[tuple[int, int]]:
        """(CRC-32, bytes) of each file's content."""

    def states(self, names: list[str]) -> list[tuple[str, int, int]] | None:
        """(name, bytes, nanosecond of change) of each file, or None if checksums cost nothing."""


class Directory:
    """The files of a folder. Links are followed, but never twice.

    Args:
        path: the folder.
        limits: what a file may have.
    """

    def __init__(self, path: Path, limits: Limits = LIMITS) -> None:
        self.path = path
        self._limits = limits

    def names(self) -> list[str]:
        """All files below the folder.

        Raises:
            UserError: if a folder cannot be listed.
        """
        found, seen = [], set()
        for folder, folders, files in os.walk(self.path, followlinks=True, onerror=_cannot_list):
            real = os.path.realpath(folder)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            relative = Path(folder).relative_to(self.path)
            found += [(relative / file).as_posix() for file in files]
        return found

    def read(self, name: str) -> bytes:
        """See `Files`."""
        return read_file(self.path / name, self._limits)

    def checksums(self, names: list[str]) -> list[tuple[int, int]]:
        """(CRC-32, bytes) of each file; reads them all."""

        def checksum(name: str) -> tuple[int, int]:
            try:
                content = self.read(name)
            except Unreadable:
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
        limits: what it may have.
    """

    def __init__(self, path: Path, limits: Limits = LIMITS) -> None:
        super().__init__(path.parent, limits)
        self._name = path.name

    def names(self) -> list[str]:
        """The file's own name."""
        return [self._name]


class ZipArchive:
    """The files of a zip archive; they are only read in memory, so unsafe names do no harm.

    Args:
        path: the archive.
        location: what to call it in error messages.
        limits: what a file in it may have, unpacked.

    Raises:
        UserError: if it is no archive, is damaged, needs a password, was packed as Python cannot
            unpack, or has two files of one name.
    """

    def __init__(self, path: Path, location: str, limits: Limits = LIMITS) -> None:
        self.path = path
        self._limits = limits
        # ZipFile counts its readers without a lock.
        self._lock = threading.Lock()
        if not path.is_file():  # opening a pipe would wait for ever
            raise UserError(f"{location} is neither a folder nor a zip archive")
        try:
            self._archive = zipfile.ZipFile(path)
        except Exception as error:  # of a damaged archive, of many kinds
            raise UserError(
                f"{location} is neither a folder nor a zip archive that opens: {error}"
            ) from error
        entries = [entry for entry in self._archive.infolist() if not entry.is_dir()]
        _check_entries(entries, location)
        self._entries = {_clean(entry.filename): entry for entry in entries}

    def names(self) -> list[str]:
        """All files of the archive."""
        return list(self._entries)

    def read(self, name: str) -> bytes:
        """The unpacked content of a file; see `Files`."""
        entry = self._entries[name]
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise Unreadable("a link in an archive")
        self._limits.check_bytes(entry.file_size)
        try:
            return self._unpack(entry)
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError) as error:
            raise Unreadable(f"damaged in the archive: {str(error) or 'cut off'}") from error

    def _unpack(self, entry: zipfile.ZipInfo) -> bytes:
        """Piece by piece, because what an entry says of its size need not be true."""
        content = io.BytesIO()
        # A piece of bzip2 may unpack to gigabytes, and zipfile would not stop it.
        by_bzip2 = entry.compress_type == zipfile.ZIP_BZIP2
        with self._lock:
            packed = self._archive.open(_as_stored(entry) if by_bzip2 else entry)
        try:
            file: IO[bytes] = bz2.BZ2File(packed) if by_bzip2 else packed
            while piece := file.read(_PIECE):
                self._limits.check_bytes(content.tell() + len(piece))
                content.write(piece)
        finally:
            with self._lock:
                packed.close()
        if by_bzip2 and zlib.crc32(content.getbuffer()) != entry.CRC:
            raise zipfile.BadZipFile(f"Bad CRC-32 for file {entry.filename!r}")
        return content.getvalue()

    def checksums(self, names: list[str]) -> list[tuple[int, int]]:
        """(CRC-32, bytes) of each file, as the archive lists them."""
        return [(self._entries[name].CRC, self._entries[name].file_size) for name in names]

    def states(self, names: list[str]) -> None:
        """None: the checksums are there."""


def read_file(path: Path, limits: Limits) -> bytes:
    """The content of a file that is on a disk.

    Args:
        path: the file.
        limits: what it may have.

    Raises:
        Unreadable: if it cannot be read, is something else than a file, or is too large.
    """
    with explained():
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            # A pipe or a device could keep its reader waiting, or never end.
            raise Unreadable("a folder" if stat.S_ISDIR(status.st_mode) else "not a file on a disk")
        limits.check_bytes(status.st_size)
        with path.open("rb") as file:
            return file.read(status.st_size + 1)


def _as_stored(entry: zipfile.ZipInfo) -> Any:
    """An entry whose content is what the original one packs, still packed."""
    stored: Any = copy.copy(entry)
    stored.compress_type = zipfile.ZIP_STORED
    stored.file_size = entry.compress_size
    stored.CRC = None
    return stored


def _check_entries(entries: list[zipfile.ZipInfo], location: str) -> None:
    if any(entry.flag_bits & 1 for entry in entries):
        raise UserError(f"{location} needs a password: unpack it and give the folder")
    if unknown := {entry.compress_type for entry in entries} - _UNPACKED:
        methods = [_METHOD_NAMES.get(kind, f"method {kind}") for kind in sorted(unknown)]
        raise UserError(
            f"{location} is packed by {' and '.join(methods)}, which Python cannot unpack: unpack "
            "it and give the folder"
        )
    counts = Counter(_clean(entry.filename) for entry in entries)
    if double := next((name for name, count in counts.items() if count > 1), None):
        raise UserError(
            f"{location} has {counts[double]} files named {double}: unpack it, rename them, and "
            "give the folder"
        )


def _cannot_list(error: OSError) -> NoReturn:
    raise UserError(f"cannot list the folder {error.filename}: {error.strerror}") from error


def _clean(name: str) -> str:
    parts = name.replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", ".", ".."))
