"""Color fields: soft blocks, bold shapes, and bands, on canvas."""

from itertools import pairwise

import numpy as np

from trompe.data.painting.color import blend, palette, to_uint8
from trompe.data.painting.fields import along, direction, grid, level, noise, relief


def blocks(rng: np.random.Generator, size: int) -> np.ndarray:
    """A few large areas of color, with the dry brush and the weave of the canvas showing."""
    colors = palette(rng, (0.25, 0.93))
    ground, others = colors[rng.integers(6)], rng.permutation(colors)
    picture = np.broadcast_to(ground, (size, size, 3))
    picture = picture * (1 + 0.08 * noise(rng, size, 3, 4))[..., None]
    areas, softness = _LAYOUTS[rng.integers(len(_LAYOUTS))](rng, size)
    brush = along(direction(rng, size), rng.standard_normal((size, size)), rng.uniform(0.04, 0.12))
    for i, area in enumerate(areas):
        ragged = area + softness * (0.5 * noise(rng, size, 9, 3) + 0.35 * brush)
        cover = np.clip(ragged / softness + 0.5, 0, 1)
        # Thin paint lets what is below shine through.
        cover = cover * np.clip(0.9 + 0.08 * brush + 0.05 * noise(rng, size, 5, 3), 0.3, 1)
        pair = others[[i % 6, (i + 1) % 6]]
        fill = blend(pair, 0.22 * level(noise(rng, size, 3, 4)) + 0.03 * np.tanh(brush))
        picture = picture + cover[..., None] * (fill - picture)
    weave = _weave(rng, size) + 0.6 * relief(brush, rng.uniform(0, 2 * np.pi))
    return to_uint8(picture + rng.uniform(0.012, 0.028) * weave[..., None])


def _weave(rng: np.random.Generator, size: int) -> np.ndarray:
    """Threads over and under each other, 3 to 5 pixels of a 192-pixel picture apart."""
    x, y = grid(size)
    threads = 2 * np.pi * 192 / rng.uniform(3, 5)
    return np.sin(threads * x) * np.sin(threads * y) + 0.4 * rng.standard_normal((size, size))


def _stacked(rng: np.random.Generator, size: int) -> tuple[list[np.ndarray], float]:
    """Blocks above each other, as Rothko's; positive inside, in units of the side."""
    x, y = grid(size)
    cuts = np.sort(rng.uniform(0.15, 0.85, int(rng.integers(1, 4))))
    edges = [0.06, *cuts, 0.94]
    margin = rng.uniform(0.05, 0.12)
    areas = []
    for top, bottom in pairwise(edges):
        middle, half = (top + bottom) / 2, max(0.03, (bottom - top) / 2 - 0.015)
        areas.append(np.minimum(half - np.abs(y - middle), 0.5 - margin - np.abs(x - 0.5)))
    return areas, rng.uniform(0.012, 0.035)


def _shapes(rng: np.random.Generator, size: int) -> tuple[list[np.ndarray], float]:
    """Discs, rings, beams and triangles, as Kandinsky's and Malevich's."""
    return [_shape(rng, size) for _ in range(rng.integers(6, 15))], 0.007


def _shape(rng: np.random.Generator, size: int) -> np.ndarray:
    x, y = grid(size)
    u, v = x - rng.uniform(0, 1), y - rng.uniform(0, 1)
    turn = rng.uniform(0, np.pi)
    u, v = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)
    reach = rng.uniform(0.07, 0.3)
    kind = rng.integers(4)
    area: np.ndarray
    if kind == 0:
        area = reach - np.hypot(u, v)
    elif kind == 1:
        area = 0.2 * reach - np.abs(np.hypot(u, v) - reach)
    elif kind == 2:
        area = np.minimum(0.25 * reach - np.abs(v), 1.8 * reach - np.abs(u))
    else:
        corners = 2 * np.pi * np.arange(3) / 3
        area = reach * 0.7 - np.max([u * np.cos(c) + v * np.sin(c) for c in corners], axis=0)
    return area


def _bands(rng: np.random.Generator, size: int) -> tuple[list[np.ndarray], float]:
    """Bent bands across the picture, as Matisse's cut-outs and Delaunay's rhythms."""
    x, y = grid(size)
    turn, bend = rng.uniform(0, 2 * np.pi), rng.uniform(0.02, 0.15)
    across = (x - 0.5) * np.cos(turn) + (y - 0.5) * np.sin(turn)
    if rng.random() < 0.5:
        across = np.hypot(x - rng.uniform(0, 1), y - rng.uniform(0, 1)) - 0.5
    across = across + bend * noise(rng, size, rng.uniform(1.5, 4))
    cuts = np.sort(rng.uniform(-0.55, 0.55, int(rng.integers(6, 14))))
    return [across - cut for cut in cuts], 0.008


_LAYOUTS = (_stacked, _shapes, _shapes, _bands)
