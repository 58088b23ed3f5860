"""Smooth random fields, what is painted, and the direction of the brush; all functions of a rng.

Fields are float (side, side), or (side, side, 3) in [0, 1] for colors; lengths are in units of the
picture's side, so that a picture looks the same at any size.
"""

import numpy as np
from PIL import Image

from trompe.data.painting.color import blend


def grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates x, to the right, and y, downwards, of each pixel's center, in [0, 1]."""
    axis = (np.arange(side) + 0.5) / side
    return np.meshgrid(axis, axis)


def noise(rng: np.random.Generator, side: int, cells: float, octaves: int = 1) -> np.ndarray:
    """Smooth noise of mean 0 and standard deviation 1, with features of ``1 / cells``."""
    total = np.zeros((side, side))
    for octave in range(octaves):
        count = max(2, round(cells * 2**octave) + 1)
        coarse = Image.fromarray(rng.standard_normal((count, count)).astype(np.float32))
        fine = coarse.resize((side, side), Image.Resampling.BICUBIC)
        total += np.asarray(fine, dtype=np.float64) * 0.5**octave
    field: np.ndarray = (total - total.mean()) / total.std()
    return field


def level(field: np.ndarray) -> np.ndarray:
    """Noise to [0, 1], most of it spread evenly."""
    return np.clip(0.5 + 0.29 * field, 0, 1)


def sample(field: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The nearest pixels of a field at x, y in [0, 1]; outside, those of the border."""
    side = len(field)
    columns = np.clip((x * side).astype(np.int64), 0, side - 1)
    return field[np.clip((y * side).astype(np.int64), 0, side - 1), columns]


def motif(rng: np.random.Generator, side: int, colors: np.ndarray) -> np.ndarray:
    """What is painted, (side, side, 3): clouds of color, a landscape, or discs."""
    return _MOTIFS[rng.integers(len(_MOTIFS))](rng, side, colors)


def direction(rng: np.random.Generator, side: int) -> np.ndarray:
    """Angle of the brush, radians: one slant, waves, or whirls."""
    x, y = grid(side)
    angle = rng.uniform(0, np.pi) + rng.uniform(0.1, 1.2) * noise(rng, side, rng.uniform(1.5, 4))
    if rng.random() < 0.5:
        return angle
    u, v = np.cos(angle), np.sin(angle)
    for _ in range(rng.integers(2, 7)):
        dx, dy = x - rng.uniform(0, 1), y - rng.uniform(0, 1)
        reach = rng.uniform(0.08, 0.3)
        distance = np.hypot(dx, dy) + 1e-6
        weight = 3 * rng.choice((-1, 1)) * np.exp(-((distance / reach) ** 2))
        u, v = u - weight * dy / distance, v + weight * dx / distance
    return np.arctan2(v, u)


def along(angle: np.ndarray, texture: np.ndarray, length: float) -> np.ndarray:
    """A texture smeared along the brush (line integral convolution, Cabral & Leedom 1993).

    Args:
        angle: direction (side, side), radians.
        texture: (side, side).
        length: of the smear to each end, in units of the side.

    Returns:
        (side, side), of mean 0 and standard deviation 1.
    """
    side = len(angle)
    total = texture.copy()
    steps = max(2, round(length * side))
    dx, dy = np.cos(angle) / side, np.sin(angle) / side
    for sign in (-1, 1):
        x, y = grid(side)
        for _ in range(steps):
            u, v = sample(dx, x, y), sample(dy, x, y)
            x, y = x + sign * u, y + sign * v
            total += sample(texture, x, y)
    field: np.ndarray = (total - total.mean()) / total.std()
    return field


def relief(height: np.ndarray, azimuth: float) -> np.ndarray:
    """How much lighter, of standard deviation 1, paint of this height is in light from one side."""
    down, right = np.gradient(height)
    light = right * np.cos(azimuth) + down * np.sin(azimuth)
    lighter: np.ndarray = np.clip(light / (light.std() + 1e-9), -2.5, 2.5)
    return lighter


def _clouds(rng: np.random.Generator, side: int, colors: np.ndarray) -> np.ndarray:
    x, y = grid(side)
    cells = rng.uniform(1.5, 3.5)
    field, bend = noise(rng, side, cells, 3), rng.uniform(0.05, 0.25)
    warp = (noise(rng, side, cells), noise(rng, side, cells))
    warped = sample(field, x + bend * warp[0], y + bend * warp[1])
    return blend(rng.permutation(colors), level(warped))


def _landscape(rng: np.random.Generator, side: int, colors: np.ndarray) -> np.ndarray:
    x, y = grid(side)
    sky = rng.permutation(colors[2:])
    haze = np.clip(y / 0.7 + 0.12 * noise(rng, side, 4, 2), 0, 1)
    picture = blend(sky[:2], haze)
    sun = np.hypot(x - rng.uniform(0.15, 0.85), y - rng.uniform(0.1, 0.4))
    glow = np.clip(1.5 - sun / rng.uniform(0.06, 0.16), 0, 1)[..., None]
    picture = picture + glow * (colors[5] - picture)
    ridges = int(rng.integers(3, 7))
    tops = np.linspace(rng.uniform(0.3, 0.5), 0.95, ridges)
    order = rng.permutation(5)
    for i, top in enumerate(tops):
        # One row of a noise field is the outline of a ridge.
        line = top + rng.uniform(0.02, 0.09) * noise(rng, side, rng.uniform(2, 5), 3)[side // 2]
        depth = np.clip((y - line) * 3 + 0.15 * noise(rng, side, 5, 2), 0, 1)
        body = blend(colors[[order[i % 5], order[(i + 2) % 5]]], depth)
        picture = np.where((y > line)[..., None], body, picture)
    return picture


def _discs(rng: np.random.Generator, side: int, colors: np.ndarray) -> np.ndarray:
    x, y = grid(side)
    picture = blend(rng.permutation(colors)[:3], level(noise(rng, side, 2.5, 2)))
    for _ in range(rng.integers(4, 14)):
        radius = rng.uniform(0.06, 0.28)
        distance = np.hypot(x - rng.uniform(0, 1), (y - rng.uniform(0, 1)) * rng.uniform(0.7, 1.4))
        pair = colors[rng.permutation(6)[:2]]
        rings = 0.5 + 0.5 * np.cos(distance / radius * np.pi * rng.integers(1, 4))
        picture = np.where((distance < radius)[..., None], blend(pair, rings), picture)
    return picture


_MOTIFS = (_clouds, _landscape, _discs)
