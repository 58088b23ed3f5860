"""Cats, robots, monsters, heads and people, put together from drawn parts: known factors.

The parts ship with the package robohash (its code MIT); `CREDITS` has who drew them.
"""

import hashlib
import importlib.util
import re
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from trompe.data.image_data import ImageData
from trompe.data.source import Source
from trompe.engine.randomness import keyed_generator
from trompe.errors import UserError
from trompe.extras import require
from trompe.suggestions import close, did_you_mean

# Folders of the package, by what they show.
SETS = {"robots": "set1", "monsters": "set2", "heads": "set3", "cats": "set4", "people": "set5"}
CREDITS = {
    "robots": "robots by Zikri Kader, CC BY 3.0 or 4.0",
    "monsters": "monsters by Hrvoje Novakovic, CC BY 3.0",
    "heads": "heads by Julian Peter Arias, CC BY 3.0",
    "cats": "cats by David Revoy, CC BY 4.0",
    "people": "people by Pablo Stanley, free for personal and commercial use",
}
# The factor that is the label, unless another is asked for: what the eye sees first.
_LABELS = {
    "robots": "color",
    "monsters": "facecolors",
    "heads": "baseface",
    "cats": "body",
    "people": "body",
}
# A folder's name: a number, then perhaps the place in the stack, from the lowest, then the name.
_FOLDER = re.compile(r"(?P<number>\d+)#(?P<place>\d*)(?P<name>\D+)")
_WHITE = 255.0
# Raised whenever the same parameters give other images.
_VERSION = 1


class Robohash(ImageData):
    """Images of one kind, each a different combination of parts, on white.

    Args:
        set: what they show, one of `SETS`.
        size: number of images; a larger set begins with the images of a smaller one.
        seed: of the set's content; not the experiment's.
        label: the factor that is the label; None: the one that is seen first.
        resolution: side of the images in pixels.
        common: see `ImageData`.

    Raises:
        UserError: if an argument is invalid, or the package is not installed.
    """

    def __init__(
        self, set: str, size: int, seed: int, label: str | None, resolution: int, **common: object
    ) -> None:
        super().__init__(resolution=resolution, **common)  # type: ignore[arg-type]
        self.credits = f"{CREDITS.get(set, '')}, by way of the package robohash"
        self.source = RobohashSource(Parts(set), size, seed, label, self.decoding.resolution)

    def open_source(self) -> "RobohashSource":
        """No picture is opened before the first image is read."""
        return self.source

    def factors(self, index: int) -> dict[str, str]:
        """What image `index` of the whole set shows, see `RobohashSource.factors`."""
        return self.source.factors(index)


class Parts:
    """The parts of one kind of picture, as files.

    Args:
        set: one of `SETS`.

    Attributes:
        set: the argument.
        factors: for each factor, the names of its values, in the order of the files.
        stack: factors that are drawn, from the lowest; a robot's color is not.

    Raises:
        UserError: if there is no such set, or the package is not installed.
    """

    def __init__(self, set: str) -> None:
        if set not in SETS:
            meant = did_you_mean(close(set, SETS))
            raise UserError(f"data.set={set} is not one of {', '.join(SETS)}{meant}")
        require("robohash", "data=robohash")
        found = importlib.util.find_spec("robohash")
        assert found is not None and found.origin is not None
        self.set = set
        root = Path(found.origin).parent / "sets" / SETS[set]
        colors = sorted(folder.name for folder in root.iterdir() if "#" not in folder.name)
        self._roots = [root / color for color in colors] or [root]
        self.factors = {"color": colors} if colors else {}
        places = {}
        for folder in sorted(self._roots[0].iterdir()):
            if match := _FOLDER.fullmatch(folder.name):
                name = match["name"].lower()
                # Those without a place are above the others.
                places[name] = (int(match["place"] or 99), int(match["number"]))
                self.factors[name] = [_value(file) for file in _pictures(folder)]
        self.stack = sorted(places, key=lambda name: places[name])

    @property
    def combinations(self) -> int:
        """How many different images there are."""
        return int(np.prod([len(values) for values in self.factors.values()], dtype=np.int64))

    def files(self, factor: str, color: int = 0) -> list[Path]:
        """The pictures of a part, in the order of the factor's values."""
        (folder,) = (f for f in self._roots[color].iterdir() if _name(f) == factor)
        return _pictures(folder)

    @property
    def colors(self) -> int:
        """How many variants of each part there are."""
        return len(self._roots)


def _name(folder: Path) -> str:
    match = _FOLDER.fullmatch(folder.name)
    return match["name"].lower() if match else ""


def _pictures(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.png"), key=_value)


def _value(file: Path) -> str:
    """``010#body-10.png`` is ``10``, ``BlazerShirt.png`` is ``BlazerShirt``."""
    numbers = re.findall(r"\d+", file.stem.partition("#")[2])
    return f"{int(numbers[-1]):02}" if numbers else file.stem


class RobohashSource(Source):
    """Image i is a function of (set, seed, i, side) alone; see `Robohash`.

    Args:
        parts: of the kind of picture.
        size: number of images.
        seed: of the choice of combinations.
        label: the factor that is the label, or None.
        side: of the images, pixels.

    Raises:
        UserError: if there are not so many combinations, or there is no such factor.
    """

    location = "data=robohash"

    def __init__(self, parts: Parts, size: int, seed: int, label: str | None, side: int) -> None:
        if not 1 <= size <= parts.combinations:
            raise UserError(
                f"data.size={size} must be between 1 and {parts.combinations}: there are no more "
                f"different {parts.set}"
            )
        label = label or _LABELS[parts.set]
        if label not in parts.factors:
            meant = did_you_mean(close(label, parts.factors))
            raise UserError(f"data.label={label} is not one of {', '.join(parts.factors)}{meant}")
        self._parts, self._side = parts, side
        self._facts = ("robohash", _VERSION, parts.set, size, seed, side)
        chosen = choose(parts.combinations, size, seed)
        shape = [len(values) for values in parts.factors.values()]
        self._values = dict(zip(parts.factors, np.unravel_index(chosen, shape), strict=True))
        self.labels = self._values[label].astype(np.int64)
        self.class_names = [f"{label} {value}" for value in parts.factors[label]]

    def fingerprint(self) -> str:
        """Hash of the parts, of what is made of them, and of the labels."""
        digest = hashlib.sha256(repr((*self._facts, self.class_names)).encode())
        for color in range(self._parts.colors):
            for factor in self._parts.stack:
                for file in self._parts.files(factor, color):
                    digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()

    def factors(self, index: int) -> dict[str, str]:
        """The value of each factor in image `index`, by name."""
        return {
            name: self._parts.factors[name][values[index]] for name, values in self._values.items()
        }

    def read(self, index: int) -> np.ndarray:
        """Image `index`, uint8 (side, side, 3)."""
        color = self._values["color"][index] if "color" in self._values else 0
        image = np.full((self._side, self._side, 3), _WHITE, np.float32)
        for factor in self._parts.stack:
            painted, covered = self._layers[color][factor][self._values[factor][index]]
            image = painted + image * (1 - covered)
        return image.round().astype(np.uint8)

    @cached_property
    def _layers(self) -> list[dict[str, list[tuple[np.ndarray, np.ndarray]]]]:
        """For each color and part: `shrink` of all values."""
        return [
            {
                factor: [shrink(file, self._side) for file in self._parts.files(factor, color)]
                for factor in self._parts.stack
            }
            for color in range(self._parts.colors)
        ]


def shrink(file: Path, side: int) -> tuple[np.ndarray, np.ndarray]:
    """A part at the size in which it is used.

    Colors are weighted by their opacity before they are averaged, so that a part's edge does not
    take the color of what is invisible.

    Returns:
        colors times opacity, (side, side, 3) in [0, 255]; opacity, (side, side, 1) in [0, 1].
    """
    with Image.open(file) as picture:
        premultiplied = picture.convert("RGBA").convert("RGBa")
    small = np.asarray(premultiplied.resize((side, side), Image.Resampling.BOX, reducing_gap=None))
    return small[..., :3].astype(np.float32), small[..., 3:].astype(np.float32) / 255


def choose(combinations: int, size: int, seed: int) -> np.ndarray:
    """The first `size` different numbers of a random sequence, int64 in [0, combinations)."""
    generator = keyed_generator(seed, "robohash")
    drawn = np.empty(0, np.int64)
    while True:
        more = torch.randint(combinations, (65536,), generator=generator).numpy()
        drawn = np.concatenate([drawn, more])
        _, first = np.unique(drawn, return_index=True)
        drawn = drawn[np.sort(first)]
        if len(drawn) >= size:
            return drawn[:size]
