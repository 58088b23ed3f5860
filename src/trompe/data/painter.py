"""A procedural painter: pictures in five kinds of style, each picture a function of its seed."""

import hashlib
from collections.abc import Callable

import numpy as np

from trompe.data.painting.blocks import blocks
from trompe.data.painting.dots import dots
from trompe.data.painting.glass import glass
from trompe.data.painting.hatching import hatching
from trompe.data.painting.strokes import strokes
from trompe.data.source import Source
from trompe.engine.randomness import keyed_seed
from trompe.errors import UserError

# Draws a picture uint8 (size, size, 3) from a generator and a size.
Style = Callable[[np.random.Generator, int], np.ndarray]
STYLES: dict[str, Style] = {
    "brush strokes": strokes,
    "stained glass": glass,
    "pointillism": dots,
    "hatching": hatching,
    "color fields": blocks,
}
# Below this side, strokes and leads are thinner than a pixel.
_SMALLEST = 16
# Raised whenever the same seed gives another picture.
_VERSION = 1


def paint(kind: str, seed: int, size: int) -> np.ndarray:
    """A picture whose palette, motif, scale, direction and density follow from its seed.

    Args:
        kind: a key of `STYLES`.
        seed: any whole number.
        size: side in pixels, at least 16.

    Returns:
        uint8 (size, size, 3), RGB.
    """
    rng = np.random.default_rng(keyed_seed(seed, f"painter/{kind}"))
    return STYLES[kind](rng, size)


class PaintedSource(Source):
    """Paintings of all kinds in turn; picture i is a function of (i, seed, side) alone.

    Args:
        size: number of pictures.
        side: of the pictures, in pixels.
        seed: of the set's content; not the experiment's.

    Raises:
        UserError: if there are no pictures, or they are too small to show strokes.
    """

    location = "the painter's set"

    def __init__(self, size: int, side: int, seed: int) -> None:
        if size < 1:
            raise UserError(f"the painter: size={size} must be at least 1 picture")
        if side < _SMALLEST:
            raise UserError(f"the painter: side={side} must be at least {_SMALLEST} pixels")
        self._size, self._side, self._seed = size, side, seed
        self.class_names = list(STYLES)
        self.labels = np.arange(size, dtype=np.int64) % len(STYLES)

    def fingerprint(self) -> str:
        """Hash of the parameters."""
        facts = ("painter", _VERSION, self._size, self._side, self._seed)
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    def read(self, index: int) -> np.ndarray:
        """Picture `index`, uint8 (side, side, 3)."""
        kind = self.class_names[self.labels[index]]
        return paint(kind, keyed_seed(self._seed, "painting", index), self._side)
