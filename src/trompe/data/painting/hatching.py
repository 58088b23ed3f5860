"""Hatching and engraving: tone made of lines."""

import numpy as np
from PIL import Image

from trompe.data.painting.color import luminance, palette, to_uint8
from trompe.data.painting.fields import grid, motif, noise

_SUPERSAMPLING = 3


def hatching(rng: np.random.Generator, size: int) -> np.ndarray:
    """Lines in inks on tinted paper, the thicker, the darker what they show."""
    side = size * _SUPERSAMPLING
    colors = palette(rng, (0.2, 0.94))
    painted = motif(rng, size, colors)
    painted = np.asarray(Image.fromarray(to_uint8(painted)).resize((side, side))) / 255
    dark = _darkness(luminance(painted)) ** rng.uniform(1.0, 1.6)
    picture = _paper(rng, side, painted, colors)
    spacing = rng.uniform(0.012, 0.03)
    slant = rng.uniform(0, np.pi)
    sweep = rng.uniform(0, 0.06) * noise(rng, side, rng.uniform(1.5, 3))
    inks = colors[[int(rng.integers(0, 2)), *rng.permutation(4)[:2]]]
    crossing = rng.uniform(0.5, 1.4)
    for i, ink in enumerate(inks):
        # Each further direction only where it is darker.
        tone = np.clip(dark * 0.85 - 0.27 * i, 0, 0.62)
        phase = _phase(rng, side, slant + i * crossing, spacing, sweep)
        width = tone * (1 + 0.12 * noise(rng, side, 40))
        # |phase| in [0, 1/2] is the distance to the nearest line, in units of the spacing.
        soft = 1.2 / (spacing * side)
        line = np.clip((0.5 * width - np.abs(phase)) / soft + 0.5 * (width > 0.04), 0, 1)
        picture = picture + line[..., None] * 0.94 * (ink - picture)
    return np.asarray(Image.fromarray(to_uint8(picture)).reduce(_SUPERSAMPLING))


def _darkness(light: np.ndarray) -> np.ndarray:
    low, high = np.quantile(light, (0.03, 0.97))
    darkness: np.ndarray = np.clip(1 - (light - low) / (high - low + 1e-9), 0, 1)
    return darkness


def _paper(
    rng: np.random.Generator, side: int, painted: np.ndarray, colors: np.ndarray
) -> np.ndarray:
    """Plain paper, or a wash of flat colors as in a woodcut."""
    paper = np.broadcast_to(0.25 * colors[5] + 0.72, painted.shape)
    if rng.random() < 0.75:
        paper = paper + rng.uniform(0.5, 0.95) * (0.2 + 0.8 * painted - paper)
    grain = 0.02 * noise(rng, side, 8, 4) + 0.015 * rng.standard_normal((side, side))
    return paper + grain[..., None]


def _phase(
    rng: np.random.Generator, side: int, slant: float, spacing: float, sweep: np.ndarray
) -> np.ndarray:
    """Signed distance, in [-1/2, 1/2] spacings, to the nearest of parallel, bent lines."""
    x, y = grid(side)
    across = x * np.cos(slant) + y * np.sin(slant) + sweep
    wobble = 0.06 * noise(rng, side, 12, 2)
    phase = across / spacing + wobble
    distance: np.ndarray = phase - np.rint(phase)
    return distance
