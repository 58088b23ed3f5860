"""Brush strokes along a flow field."""

import numpy as np
from PIL import Image, ImageDraw

from trompe.data.painting.color import blend, palette, shade, to_uint8
from trompe.data.painting.fields import along, direction, motif, noise, relief, sample

# Drawn this many times larger and then shrunk, for smooth edges.
_SUPERSAMPLING = 2
# Points on the path of a stroke.
_POINTS = 6


def strokes(rng: np.random.Generator, size: int) -> np.ndarray:
    """Layers of curved strokes, from coarse to fine, with the relief of thick paint."""
    colors = palette(rng)
    painted, angle = motif(rng, size, colors), direction(rng, size)
    width, aspect = rng.uniform(0.025, 0.06), rng.uniform(3, 7)
    variety = rng.uniform(0.05, 0.1)
    ground = blend(colors[rng.permutation(6)[:2]], 0.5 + 0.3 * np.tanh(noise(rng, size, 2)))
    canvas = Image.fromarray(to_uint8(ground)).resize((size * _SUPERSAMPLING,) * 2)
    draw = ImageDraw.Draw(canvas)
    for part, coverage in ((1.0, 2.4), (0.55, 1.6), (0.3, 0.6)):
        _layer(draw, rng, painted, angle, width * part, aspect, coverage, variety)
    picture = np.asarray(canvas.reduce(_SUPERSAMPLING)) / 255
    bristles = along(angle, rng.standard_normal((size, size)), rng.uniform(0.03, 0.06))
    light = relief(bristles, rng.uniform(0, 2 * np.pi))
    return to_uint8(picture + rng.uniform(0.02, 0.05) * light[..., None])


def _layer(
    draw: ImageDraw.ImageDraw,
    rng: np.random.Generator,
    painted: np.ndarray,
    angle: np.ndarray,
    width: float,
    aspect: float,
    coverage: float,
    variety: float,
) -> None:
    """Draw strokes of one width; they cover `coverage` times the picture."""
    side = len(painted) * _SUPERSAMPLING
    count = round(coverage / (width * width * aspect))
    x, y = rng.uniform(-0.03, 1.03, (2, count))
    inks = shade(sample(painted, x, y), rng, variety)
    step = width * aspect / (_POINTS - 1)
    path = np.empty((count, _POINTS, 2))
    normals = np.empty_like(path)
    for i in range(_POINTS):
        path[:, i] = np.stack([x, y], -1)
        at = sample(angle, x, y)
        normals[:, i] = np.stack([-np.sin(at), np.cos(at)], -1)
        x, y = x + step * np.cos(at), y + step * np.sin(at)
    # The body, then hairs that are lighter or darker, beside its middle.
    hairs = [(0.0, 1.0, 0.0), (-0.3, 0.22, 0.07), (0.28, 0.2, -0.08)]
    lines = [(path + normals * (offset * width)) * side for offset, _, _ in hairs]
    fills = [to_uint8(inks + tone).tolist() for _, _, tone in hairs]
    widths = [max(1, round(part * width * side)) for _, part, _ in hairs]
    radius = width * side / 2
    for i in range(count):
        for line, fill, thickness in zip(lines, fills, widths, strict=True):
            points = line[i].ravel().tolist()
            draw.line(points, tuple(fill[i]), thickness)
            if thickness > 2 and line is lines[0]:
                for px, py in (points[:2], points[-2:]):
                    box = (px - radius, py - radius, px + radius, py + radius)
                    draw.ellipse(box, tuple(fill[i]))
