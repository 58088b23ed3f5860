"""Stained glass: cells of one color each, between dark leads."""

import numpy as np
from PIL import Image
from scipy.spatial import cKDTree

from trompe.data.painting.color import palette, shade, to_uint8
from trompe.data.painting.fields import grid, motif, noise, sample

_SUPERSAMPLING = 2


def glass(rng: np.random.Generator, size: int) -> np.ndarray:
    """Voronoi cells around scattered points or those of a rose window, lit from behind."""
    side = size * _SUPERSAMPLING
    painted = motif(rng, size, palette(rng, (0.38, 0.95)))
    seeds = _rose(rng) if rng.random() < 0.35 else _scattered(rng)
    inks = shade(sample(painted, seeds[:, 0], seeds[:, 1]), rng, 0.1)
    gray = inks.mean(1, keepdims=True)
    inks = np.clip(gray + rng.uniform(1.15, 1.6) * (inks - gray), 0, 1)
    # Stretched and bent, cells become shards or petals.
    x, y = grid(side)
    bend = rng.choice((0, 0.015, 0.03))
    x = x + bend * noise(rng, side, 6)
    stretch = np.array([1, rng.choice((0.5, 1, 1, 1, 2))])
    places = np.stack([x, y], -1).reshape(-1, 2) * stretch
    distance, cell = cKDTree(seeds * stretch).query(places, k=2)
    distance, cell = distance.reshape(side, side, 2), cell.reshape(side, side, 2)
    gap = distance[..., 1] - distance[..., 0]
    typical = np.sqrt(stretch[1] / len(seeds))
    width = np.clip(rng.uniform(0.1, 0.22) * typical, 0.008, 0.03)
    # Light comes through the middle of a pane, and through its ripples.
    depth = np.clip(gap / typical, 0, 1)
    ripples = 0.05 * noise(rng, side, rng.uniform(12, 30), 2) + 0.04 * noise(rng, side, 4)
    light = 0.78 + 0.3 * depth + ripples
    picture = inks[cell[..., 0]] * light[..., None]
    lead = np.clip((width - gap) / (0.35 * width) + 0.5, 0, 1)[..., None]
    shine = 0.1 + 0.12 * np.clip(1 - gap / (0.5 * width), 0, 1)[..., None]
    picture = picture * (1 - lead) + lead * shine * (0.7 + 0.5 * inks.mean(0))
    return np.asarray(Image.fromarray(to_uint8(picture)).reduce(_SUPERSAMPLING))


def _scattered(rng: np.random.Generator) -> np.ndarray:
    """Points on a grid, moved at random, reaching beyond the picture.

    None is moved by half a cell, for leads between points that nearly meet would fill whole panes.
    """
    count = int(rng.integers(5, 15))
    axis = (np.arange(-1, count + 1) + 0.5) / count
    points = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    return points + rng.uniform(-1, 1, points.shape) * rng.uniform(0.2, 0.42) / count


def _rose(rng: np.random.Generator) -> np.ndarray:
    """Points on rings around a center."""
    center = rng.uniform(0.3, 0.7, 2)
    rings, petals = int(rng.integers(5, 10)), int(rng.integers(5, 9))
    points = [center[None]]
    for ring in range(1, 2 * rings):
        radius = ring / rings * 0.85
        count = petals * (1 + ring // 2)
        turn = 2 * np.pi * (np.arange(count) + 0.5 * (ring % 2)) / count
        wobble = 1 + rng.uniform(-0.02, 0.02, count)
        offsets = np.stack([np.cos(turn), np.sin(turn)], -1) * (radius * wobble)[:, None]
        points.append(center + offsets)
    return np.concatenate(points)
