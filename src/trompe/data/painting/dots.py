"""Pointillism: dots of unmixed colors that mix in the eye."""

import numpy as np
from PIL import Image, ImageDraw

from trompe.data.painting.color import palette, shade, to_uint8
from trompe.data.painting.fields import direction, motif, sample

_SUPERSAMPLING = 3


def dots(rng: np.random.Generator, size: int) -> np.ndarray:
    """Dots of the palette's own colors, the more of one, the nearer it is to what is painted."""
    side = size * _SUPERSAMPLING
    colors = palette(rng, (0.25, 0.95))
    painted = motif(rng, size, colors)
    radius = rng.uniform(0.0075, 0.021)
    purity = rng.uniform(0.3, 0.75)
    flow = direction(rng, size)
    canvas = Image.new("RGB", (side, side), tuple(to_uint8(colors[rng.choice((0, 5, 5))]).tolist()))
    draw = ImageDraw.Draw(canvas)
    for part, gap in ((1.25, 1.7), (0.85, 1.9), (0.6, 3.2)):
        x, y = _places(rng, gap * part * radius)
        wanted = sample(painted, x, y)
        inks = shade(_unmixed(rng, wanted, colors, purity), rng, 0.05)
        radii = part * radius * side * rng.uniform(0.75, 1.2, len(x))
        _draw(draw, x * side, y * side, radii, to_uint8(inks), sample(flow, x, y))
    return np.asarray(canvas.reduce(_SUPERSAMPLING))


def _places(rng: np.random.Generator, gap: float) -> tuple[np.ndarray, np.ndarray]:
    """Points about `gap` from each other, in any order."""
    axis = np.arange(-gap, 1 + gap, gap)
    x, y = (part.ravel() for part in np.meshgrid(axis, axis))
    order = rng.permutation(len(x))
    x, y = x[order], y[order]
    return x + rng.uniform(-0.6, 0.6, len(x)) * gap, y + rng.uniform(-0.6, 0.6, len(y)) * gap


def _unmixed(
    rng: np.random.Generator, wanted: np.ndarray, colors: np.ndarray, purity: float
) -> np.ndarray:
    """Of each wanted color (n, 3), one of the palette that is near, drawn at random."""
    distance = np.linalg.norm(wanted[:, None] - colors, axis=-1)
    # Adding Gumbel noise to the logits draws from their softmax.
    chosen = (-distance * 6 + rng.gumbel(size=distance.shape)).argmax(1)
    inks: np.ndarray = purity * colors[chosen] + (1 - purity) * wanted
    return inks


def _draw(
    draw: ImageDraw.ImageDraw,
    x: np.ndarray,
    y: np.ndarray,
    radii: np.ndarray,
    inks: np.ndarray,
    angle: np.ndarray,
) -> None:
    # Touches of the brush: two discs side by side are a little longer than wide.
    dx, dy = 0.45 * radii * np.cos(angle), 0.45 * radii * np.sin(angle)
    fills = [tuple(ink) for ink in inks.tolist()]
    ends = [
        np.stack(
            [x + s * dx - radii, y + s * dy - radii, x + s * dx + radii, y + s * dy + radii], 1
        )
        for s in (-1, 1)
    ]
    for first, second, fill in zip(ends[0].tolist(), ends[1].tolist(), fills, strict=True):
        draw.ellipse(first, fill)
        draw.ellipse(second, fill)
