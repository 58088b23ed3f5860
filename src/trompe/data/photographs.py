"""Photographs and other pictures that style transfer takes content and styles from."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from trompe.data.conversion import to_picture
from trompe.data.limits import LIMITS, Limits
from trompe.data.patches import packaged
from trompe.data.picture_folder import FolderSource
from trompe.data.source import Source
from trompe.errors import UserError

# Color photographs in scikit-image's package. Its other pictures are gray, or drawn; and
# motorcycle_right shows the same as motorcycle_left, so the two cannot be split.
_PHOTOGRAPHS = (
    "astronaut",
    "chelsea",
    "coffee",
    "hubble_deep_field",
    "ihc",
    "motorcycle_left",
    "retina",
    "rocket",
)


class PackagedPhotographs(Source):
    """The color photographs that ship with scikit-image: a face, a cat, a cup, stars, and so on.

    The smallest, chelsea, has 451 x 300 pixels.

    Raises:
        UserError: if this version of scikit-image lacks one.
    """

    location = "scikit-image's photographs"

    def __init__(self) -> None:
        found = packaged()
        missing = [name for name in _PHOTOGRAPHS if name not in found]
        if missing:
            raise UserError(f"{self.location}: this version lacks {', '.join(missing)}")
        self._files = [found[name] for name in _PHOTOGRAPHS]
        self.class_names = ["photographs"]
        self.labels = np.zeros(len(self._files), dtype=np.int64)

    def fingerprint(self) -> str:
        """Hash of the files."""
        digest = hashlib.sha256(" ".join(_PHOTOGRAPHS).encode())
        for file in self._files:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()

    def name(self, index: int) -> str:
        """The photograph's name in scikit-image."""
        return _PHOTOGRAPHS[index]

    def read(self, index: int) -> Image.Image:
        """Photograph `index`, RGB."""
        with Image.open(self._files[index]) as picture:
            return picture.convert("RGB")


class Joined(Source):
    """Several sources, one after the other; classes of the same name are merged."""

    def __init__(self, sources: list[Source]) -> None:
        self._sources = sources
        self._starts = np.cumsum([0, *(len(source) for source in sources)])
        self.location = " and ".join(source.location for source in sources)
        self.notes = [note for source in sources for note in source.notes]
        self.class_names = sorted({name for source in sources for name in source.class_names})
        numbers = {name: i for i, name in enumerate(self.class_names)}
        self.labels = np.concatenate(
            [
                np.array([numbers[name] for name in source.class_names])[source.labels]
                for source in sources
            ]
        )

    def fingerprint(self) -> str:
        """Hash of the sources' hashes, in their order."""
        parts = " ".join(source.fingerprint() for source in self._sources)
        return hashlib.sha256(parts.encode()).hexdigest()

    def name(self, index: int) -> str:
        """What its source calls the picture."""
        source, inner = self._find(index)
        return source.name(inner)

    def read(self, index: int) -> Image.Image | np.ndarray:
        """Picture `index`."""
        source, inner = self._find(index)
        return source.read(inner)

    def _find(self, index: int) -> tuple[Source, int]:
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self._sources[number], index - int(self._starts[number])


class Squares(Source):
    """Squares cut from each picture, evenly along its longer side; they overlap if they must.

    The one nearest the middle comes first, so that it can stand for the picture. All
    squares of a square picture are the same.

    Args:
        pictures: of any shape.
        count: squares of each picture.
    """

    def __init__(self, pictures: Source, count: int) -> None:
        self._pictures = pictures
        places = np.linspace(0, 1, count) if count > 1 else np.array([0.5])
        self._places = sorted(places.tolist(), key=lambda place: abs(place - 0.5))
        self.location = pictures.location
        if count > 1:
            self.location += f", {count} squares of each,"
        self.notes = pictures.notes
        self.class_names = pictures.class_names
        self.labels = np.repeat(pictures.labels, count)

    def fingerprint(self) -> str:
        """Hash of the pictures' hash and of how many squares are cut."""
        facts = f"{self._pictures.fingerprint()}, {self._places}"
        return hashlib.sha256(facts.encode()).hexdigest()

    def name(self, index: int) -> str:
        """The picture's name."""
        return self._pictures.name(index // len(self._places))

    def read(self, index: int) -> Image.Image:
        """Square `index`: the squares of the first picture, then those of the next."""
        number, square = divmod(index, len(self._places))
        picture = to_picture(self._pictures.read(number))
        side = min(picture.size)
        left = round(self._places[square] * (picture.width - side))
        top = round(self._places[square] * (picture.height - side))
        return picture.crop((left, top, left + side, top + side))


def open_pictures(
    pictures: Any,
    key: str,
    cache_dir: str | Path | None = None,
    limits: Limits = LIMITS,
) -> Source:
    """What a config means by a set of pictures.

    Args:
        pictures: a folder, zip archive or picture file, by path; a source; or a list of such.
        key: the config's key, for error messages.
        cache_dir: see `FolderSource`.
        limits: what a picture may have.

    Raises:
        UserError: if it is none of these, is empty, or is missing.
    """
    if isinstance(pictures, Source):
        return pictures
    if isinstance(pictures, str | Path):
        return FolderSource(pictures, "auto", cache_dir, key, limits)
    if isinstance(pictures, list | tuple) and pictures:
        return Joined([open_pictures(some, key, cache_dir, limits) for some in pictures])
    raise UserError(
        f"{key}={pictures} must be a folder, a zip archive or a picture, or a list of them"
    )
