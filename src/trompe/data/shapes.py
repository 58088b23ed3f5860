"""Procedural images with known factors: kind, color, position and size."""

import hashlib
import math
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from trompe.data.image_data import ImageData
from trompe.data.source import Source
from trompe.engine.randomness import keyed_generator
from trompe.errors import UserError

KINDS = ("circle", "square", "triangle", "cross", "star")
# Far apart in hue and in gray value.
COLORS = {
    "red": (220, 50, 47),
    "yellow": (240, 200, 40),
    "green": (40, 160, 70),
    "blue": (50, 90, 210),
    "black": (20, 20, 20),
}
_MODES = len(KINDS) * len(COLORS)
_BACKGROUND = (235, 235, 230)
# Smallest and largest radius of the circle around a shape, in units of the image's side.
_RADII = (0.15, 0.35)
# Drawn this many times larger and then shrunk, for smooth edges.
_SUPERSAMPLING = 4
# Raised whenever the same parameters give other images.
_VERSION = 1


class Shapes(ImageData):
    """One colored shape per image, so that modes can be counted.

    The label is the mode, ``kind * len(COLORS) + color``, or one of these two; every mode is
    equally frequent.

    Args:
        size: number of images.
        seed: of the set's content; not the experiment's.
        resolution: side of the images in pixels.
        label: the factor that is the label, ``kind`` or ``color``, or ``mode`` for both.
        common: see `ImageData`.

    Raises:
        UserError: if there are no images, or there is no such factor.
    """

    def __init__(
        self, size: int, seed: int, resolution: int, label: str = "mode", **common: object
    ) -> None:
        super().__init__(resolution=resolution, **common)  # type: ignore[arg-type]
        if size < 1:
            raise UserError(f"data.size={size} must be at least 1 image")
        if label not in ("mode", "kind", "color"):
            raise UserError(f"data.label={label} is neither mode, kind nor color")
        self.size = size
        self.seed = seed
        self.label = label

    def open_source(self) -> "ShapesSource":
        """Nothing is drawn before it is read."""
        return ShapesSource(self.size, self.seed, self.decoding.resolution, self.label)

    def factors(self, index: int) -> dict[str, Any]:
        """What image `index` of the whole set shows, see `ShapesSource.factors`."""
        return self.open_source().factors(index)


class ShapesSource(Source):
    """Image i is a function of (i, seed, side) alone; see `Shapes`."""

    location = "data=shapes"

    def __init__(self, size: int, seed: int, side: int, label: str = "mode") -> None:
        self._size, self._seed, self._side, self._label = size, seed, side, label
        kinds, colors = np.divmod(np.arange(size, dtype=np.int64) % _MODES, len(COLORS))
        both = [f"{color} {kind}" for kind in KINDS for color in COLORS]
        self.labels, self.class_names = {
            "kind": (kinds, list(KINDS)),
            "color": (colors, list(COLORS)),
        }.get(label, (kinds * len(COLORS) + colors, both))

    def fingerprint(self) -> str:
        """Hash of the parameters."""
        facts: tuple[object, ...] = ("shapes", _VERSION, self._size, self._seed, self._side)
        facts += (self._label,) if self._label != "mode" else ()
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    def factors(self, index: int) -> dict[str, Any]:
        """What image `index` shows.

        Returns:
            ``kind`` and ``color``, by name; ``x``, ``y``, the center, and ``radius``, of the
            circle around the shape, in units of the image's side, origin at the top left.
        """
        kind, color = divmod(index % _MODES, len(COLORS))
        generator = keyed_generator(self._seed, "shapes", index)
        draws = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
        radius = _RADII[0] + (_RADII[1] - _RADII[0]) * draws[0]
        return {
            "kind": KINDS[kind],
            "color": list(COLORS)[color],
            "x": radius + (1 - 2 * radius) * draws[1],
            "y": radius + (1 - 2 * radius) * draws[2],
            "radius": radius,
        }

    def read(self, index: int) -> Image.Image:
        """Image `index`, RGB."""
        factors = self.factors(index)
        side = self._side * _SUPERSAMPLING
        picture = Image.new("RGB", (side, side), _BACKGROUND)
        x, y, radius = (factors[key] * side for key in ("x", "y", "radius"))
        draw = ImageDraw.Draw(picture)
        fill = COLORS[factors["color"]]
        if factors["kind"] == "circle":
            draw.circle((x, y), radius, fill)
        else:
            outline = _OUTLINES[factors["kind"]]
            draw.polygon([(x + radius * u, y + radius * v) for u, v in outline], fill)
        return picture.reduce(_SUPERSAMPLING)


def _star(points: int, inner: float) -> list[tuple[float, float]]:
    """Corners on the unit circle and, between them, on one of radius `inner`, from the top."""
    corners = []
    for i in range(2 * points):
        angle, radius = math.pi * i / points, inner if i % 2 else 1.0
        corners.append((radius * math.sin(angle), -radius * math.cos(angle)))
    return corners


def _turned(quarter: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Corners repeated in the four directions."""
    corners = []
    for _ in range(4):
        corners += quarter
        quarter = [(-v, u) for u, v in quarter]
    return corners


# Corners in the unit circle, y downwards.
_OUTLINES = {
    "square": _turned([(math.sqrt(0.5), -math.sqrt(0.5))]),
    "triangle": _star(3, 0.5),
    "cross": _turned([(-0.3, -0.95), (0.3, -0.95), (0.3, -0.3)]),
    "star": _star(5, 0.4),
}
