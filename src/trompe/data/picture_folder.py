"""Pictures in a folder or a zip archive, nested or flat; or a single one."""

import contextlib
import hashlib
import json
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from trompe.cache_folder import keep
from trompe.data.decoder import open_picture
from trompe.data.files import Directory, Files, OneFile, ZipArchive
from trompe.data.formats import hint, is_picture, passed_over
from trompe.data.image_data import ImageData
from trompe.data.limits import LIMITS, Limits, explained
from trompe.data.source import Source
from trompe.data.subfolders import find_root
from trompe.errors import UserError
from trompe.paths import expand

# Class of pictures that are in no folder.
_NO_CLASS = "images"
# Endings of files whose pixels may be floats, LAB or integers of more than 8 bits, and what is
# raised whenever `trompe.data.conversion` makes other levels of these.
_NUMERIC = {".fit", ".fits", ".im", ".pbm", ".pfm", ".pgm", ".pnm", ".ppm", ".tif", ".tiff"}
_CONVERSION = 2


class ImageFolder(ImageData):
    """Images of a folder or a zip archive; the first level of folders gives the labels.

    Args:
        path: the folder or archive; relative to the current folder, ``~`` is the home folder.
        subfolder: use only what is below this folder; ``"auto"``: below ``train`` if there is
            such a folder and all beside it are splits too, else everything; null: everything.
        common: see `ImageData`.
    """

    def __init__(self, path: str, subfolder: str | None = "auto", **common: object) -> None:
        super().__init__(**common)  # type: ignore[arg-type]
        self.path = path
        self.subfolder = subfolder

    def open_source(self) -> Source:
        """List the pictures."""
        return FolderSource(self.path, self.subfolder, self.cache_dir, limits=self.limits)


class FolderSource(Source):
    """Every file that Pillow can read, by its extension, sorted by relative path.

    Hidden files and macOS's ``__MACOSX`` are skipped. A folder that holds nothing but other
    folders is looked through: archives often wrap their content in one.

    Args:
        path: a folder or a zip archive, or a picture.
        subfolder: see `ImageFolder`.
        cache_dir: keeps hashes of folders, so that a second start does not read every byte.
        key: what the config calls the path, for error messages.
        limits: what a picture may have.

    Raises:
        UserError: if the path is missing or not an archive, or has no picture or no such subfolder.
    """

    def __init__(
        self,
        path: str | Path,
        subfolder: str | None = "auto",
        cache_dir: str | Path | None = None,
        key: str = "data.path",
        limits: Limits = LIMITS,
    ) -> None:
        self.location = f"{key}={path}"
        self._limits = limits
        self._files = _open(path, self.location, limits)
        found = self._files.names()
        names = sorted(filter(is_picture, found))
        unread = {*found}.difference(names)
        if not names:
            others = passed_over(unread)
            raise UserError(
                f"{self.location} holds no pictures: none of its files ends in .png, .jpg or "
                "another extension that Pillow can read" + (f"; it has {others}" if others else "")
            )
        self._root, note = find_root(names, subfolder, self.location)
        others = passed_over(name for name in unread if name.startswith(self._root))
        notes = [note, f"passed over {others}" if others else None]
        self.notes = [f"{self.location}: {note}" for note in notes if note]
        self._names = [name for name in names if name.startswith(self._root)]
        self._cache_dir = None if cache_dir is None else expand(cache_dir, "paths.cache_dir")
        classes = [_class(name.removeprefix(self._root)) for name in self._names]
        self.class_names = sorted(set(classes))
        numbers = {name: i for i, name in enumerate(self.class_names)}
        self.labels = np.array([numbers[name] for name in classes], dtype=np.int64)

    def name(self, index: int) -> str:
        """Path of image `index` within the folder or archive."""
        return self._names[index]

    def read(self, index: int) -> Image.Image:
        """Image `index`, of any mode.

        Raises:
            Unreadable: if it is none, or too large.
        """
        with explained():
            return open_picture(self._files.read(self._names[index]), self._limits)

    def fingerprint(self) -> str:
        """Hash of the relative names, sizes and CRC-32s: the same for a folder and its archive."""
        content = self._content()
        if any(PurePosixPath(name).suffix.lower() in _NUMERIC for name in self._names):
            return _hash([content, "conversion", _CONVERSION])
        return content

    def _content(self) -> str:
        memo = self._memo()
        if memo is not None and (known := _read_memo(memo)) is not None:
            return known
        checksums = self._files.checksums(self._names)
        rows = sorted(
            (name.removeprefix(self._root), *checksum)
            for name, checksum in zip(self._names, checksums, strict=True)
        )
        digest = _hash(rows)
        # What cannot be read now may be readable later, and look the same.
        if memo is not None and all(size >= 0 for _, size in checksums):
            keep(memo, lambda file: file.write(digest))
        return digest

    def _memo(self) -> Path | None:
        """Where the fingerprint of files that look like these is kept, if anywhere."""
        states = self._files.states(self._names)
        if states is None or self._cache_dir is None:
            return None
        key = _hash([str(self._files.path), self._root, states])
        return self._cache_dir / "fingerprints" / f"{key[:32]}.txt"


def _open(path: str | Path, location: str, limits: Limits) -> Files:
    absolute = expand(path, location.partition("=")[0]).absolute()
    if absolute.is_dir():
        return Directory(absolute, limits)
    if not absolute.exists():
        raise UserError(f"{location}: there is no such folder or zip archive (at {absolute})")
    if is_picture(absolute.name):
        return OneFile(absolute, limits)
    if advice := None if absolute.suffix.lower() == ".zip" else hint(absolute.name):
        raise UserError(f"{location} cannot be read ({advice})")
    return ZipArchive(absolute, location, limits)


def _class(name: str) -> str:
    return name.split("/")[0] if "/" in name else _NO_CLASS


def _read_memo(memo: Path) -> str | None:
    with contextlib.suppress(OSError, ValueError):
        known = memo.read_text()
        return known if len(known) == 64 else None
    return None


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
