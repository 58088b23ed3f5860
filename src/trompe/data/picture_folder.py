"""Pictures in a folder or a zip archive, nested or flat; or a single one."""

import contextlib
import hashlib
import io
import json
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from trompe.data.files import Directory, Files, OneFile, ZipArchive
from trompe.data.image_data import ImageData
from trompe.data.source import Source
from trompe.errors import UserError
from trompe.files import CannotWrite, whole_file

# Formats that Pillow recognizes, but decodes with outside help (a PostScript interpreter,
# a handler that the application installs) or not at all.
_NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
# Class of pictures that are in no folder.
_NO_CLASS = "images"


class ImageFolder(ImageData):
    """Images of a folder or a zip archive; the first level of folders gives the labels.

    Args:
        path: the folder or archive; relative to the current folder, ``~`` is the home folder.
        subfolder: use only what is below this folder; ``"auto"``: below ``train`` if there is
            such a folder, else everything; null: everything.
        common: see `ImageData`.
    """

    def __init__(self, path: str, subfolder: str | None = "auto", **common: object) -> None:
        super().__init__(**common)  # type: ignore[arg-type]
        self.path = path
        self.subfolder = subfolder

    def open_source(self) -> Source:
        """List the pictures."""
        return FolderSource(self.path, self.subfolder, self.cache_dir)


class FolderSource(Source):
    """Every file that Pillow can read, by its extension, sorted by relative path.

    Hidden files and macOS's ``__MACOSX`` are skipped. A folder that holds nothing but other
    folders is looked through: archives often wrap their content in one.

    Args:
        path: a folder or a zip archive, or a picture.
        subfolder: see `ImageFolder`.
        cache_dir: keeps hashes of folders, so that a second start does not read every byte.
        key: what the config calls the path, for error messages.

    Raises:
        UserError: if the path is missing or not an archive, or has no picture or no such subfolder.
    """

    def __init__(
        self,
        path: str | Path,
        subfolder: str | None = "auto",
        cache_dir: str | Path | None = None,
        key: str = "data.path",
    ) -> None:
        self.location = f"{key}={path}"
        self._files = _open(path, self.location)
        names = sorted(name for name in self._files.names() if is_picture(name))
        if not names:
            raise UserError(
                f"{self.location} holds no pictures: none of its files ends in .png, .jpg or "
                "another extension that Pillow can read"
            )
        self._root = _root(names, subfolder, self.location)
        self._names = [name for name in names if name.startswith(self._root)]
        self._cache_dir = None if cache_dir is None else Path(cache_dir).expanduser()
        classes = [_class(name.removeprefix(self._root)) for name in self._names]
        self.class_names = sorted(set(classes))
        numbers = {name: i for i, name in enumerate(self.class_names)}
        self.labels = np.array([numbers[name] for name in classes], dtype=np.int64)

    def name(self, index: int) -> str:
        """Path of image `index` within the folder or archive."""
        return self._names[index]

    def read(self, index: int) -> Image.Image:
        """Image `index`, of any mode."""
        return Image.open(io.BytesIO(self._files.read(self._names[index])))

    def fingerprint(self) -> str:
        """Hash of the relative names, sizes and CRC-32s: the same for a folder and its archive."""
        memo = self._memo()
        if memo is not None and memo.is_file():
            known = memo.read_text()
            if len(known) == 64:
                return known
        checksums = self._files.checksums(self._names)
        rows = sorted(
            (name.removeprefix(self._root), *checksum)
            for name, checksum in zip(self._names, checksums, strict=True)
        )
        digest = _hash(rows)
        if memo is not None:
            _write_memo(memo, digest)
        return digest

    def _memo(self) -> Path | None:
        """Where the fingerprint of files that look like these is kept, if anywhere."""
        states = self._files.states(self._names)
        if states is None or self._cache_dir is None:
            return None
        key = _hash([str(self._files.path), self._root, states])
        return self._cache_dir / "fingerprints" / f"{key[:32]}.txt"


def _open(path: str | Path, location: str) -> Files:
    absolute = Path(path).expanduser().absolute()
    if absolute.is_dir():
        return Directory(absolute)
    if not absolute.exists():
        raise UserError(f"{location}: there is no such folder or zip archive (at {absolute})")
    if is_picture(absolute.name):
        return OneFile(absolute)
    return ZipArchive(absolute, location)


def is_picture(name: str) -> bool:
    """Whether a file of this name is an image that Pillow reads, not hidden."""
    path = PurePosixPath(name)
    if any(part.startswith(".") or part == "__MACOSX" for part in path.parts):
        return False
    kind = Image.registered_extensions().get(path.suffix.lower())
    return kind in Image.OPEN and kind not in _NOT_DECODED


def _root(names: list[str], subfolder: str | None, location: str) -> str:
    """The part that the names of all wanted pictures begin with; empty, or ends in a slash."""
    wrappers = _wrappers(names)
    # Folders around everything are not classes, as long as there are folders below them.
    everything = max((w for w in wrappers if all("/" in n[len(w) :] for n in names)), default="")
    if subfolder is None:
        return everything
    wanted = "train" if subfolder == "auto" else subfolder.strip("/")
    for wrapper in wrappers:
        root = f"{wrapper}{wanted}/"
        if any(name.startswith(root) for name in names):
            return root
    if subfolder == "auto":
        return everything
    inner = [name.removeprefix(everything) for name in names]
    there = sorted({name.split("/")[0] for name in inner if "/" in name})
    raise UserError(
        f"data.subfolder={subfolder}: {location} has no pictures in such a folder; "
        + (f"it has {', '.join(there)}" if there else "it has no subfolders: set it to null")
    )


def _wrappers(names: list[str]) -> list[str]:
    """The folders that hold all files, from the outside: ``""``, ``"outer/"``, ..."""
    wrappers = [""]
    while True:
        inner = [name.removeprefix(wrappers[-1]) for name in names]
        folders = {name.split("/")[0] for name in inner if "/" in name}
        if len(folders) != 1 or not all("/" in name for name in inner):
            return wrappers
        wrappers.append(f"{wrappers[-1]}{folders.pop()}/")


def _class(name: str) -> str:
    return name.split("/")[0] if "/" in name else _NO_CLASS


def _write_memo(memo: Path, digest: str) -> None:
    # Without it only time is lost; if the disk is full, writing the images says so.
    with contextlib.suppress(CannotWrite), whole_file(memo) as file:
        file.write(digest)


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
