"""Which patches of a world map go to which set: three parts that never overlap."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch

from trompe.engine.randomness import keyed_generator
from trompe.errors import UserError

# All maps are read at this size; one pixel is 1/15 degree, 7.4 km at the equator.
WIDTH, HEIGHT = 5400, 2700
_DEGREE = WIDTH // 360
# Pixels left out on either side of a border between longitudes: a patch's neighbors shine through
# in the blocks of a JPEG file, of 16 pixels where colors are stored at half the resolution.
_MARGIN = 8


class Places(NamedTuple):
    """Upper left corners (n, 2) of patches, int64: row, and column, which can wrap around.

    `a` and `b` are trained on; `held_out` is seen on both maps, and never trained on.
    """

    a: np.ndarray
    b: np.ndarray
    held_out: np.ndarray


class Layout:
    """Where patches are cut: no place on earth is in the patches of two of the three parts.

    The longitudes outside of `held_out` are divided into strips of one width, which go to a and to
    b in turn, so that both see several continents. Patches lie inside of their strip.

    Args:
        patch_size: side of a patch, pixels of a map of 5400 x 2700.
        stride: distance between neighboring patches, pixels.
        latitudes: southern and northern bound, degrees.
        held_out: western and eastern bound of the longitudes that are not trained on, degrees east
            in [-180, 180].
        strips: number of strips, even.
        min_land: smallest share of land in a patch, in [0, 1].

    Raises:
        UserError: if an argument is invalid, or a patch is wider than a strip.
    """

    def __init__(
        self,
        patch_size: int,
        stride: int,
        latitudes: tuple[float, float],
        held_out: tuple[float, float],
        strips: int,
        min_land: float,
    ) -> None:
        for key, value in (("patch_size", patch_size), ("stride", stride)):
            if value < 1:
                raise UserError(f"data.{key}={value} must be at least 1 pixel")
        _check_range("latitudes", latitudes, 90)
        _check_range("held_out", held_out, 180)
        if strips < 2 or strips % 2:
            raise UserError(f"data.strips={strips} must be even and at least 2")
        if not 0 <= min_land <= 1:
            raise UserError(f"data.min_land={min_land} must be at least 0 and at most 1")
        west, east = (round((180 + bound) * _DEGREE) for bound in held_out)
        borders = np.linspace(east, west + WIDTH, strips + 1).round().astype(int).tolist()
        self._strips = list(pairwise(borders))
        self._held_out = (west, east)
        south, north = latitudes
        self._rows = (round((90 - north) * _DEGREE), round((90 - south) * _DEGREE))
        room = min(right - left for left, right in (*self._strips, self._held_out)) - 2 * _MARGIN
        room = min(room, self._rows[1] - self._rows[0])
        if patch_size > room:
            raise UserError(
                f"data.patch_size={patch_size} is too large: the narrowest part of the map has "
                f"room for {max(room, 0)} pixels; set a smaller one, or fewer data.strips"
            )
        self.patch_size = patch_size
        self.stride = stride
        self.min_land = min_land

    def places(self, land: np.ndarray) -> Places:
        """The patches with enough land, each part in a fixed random order.

        Args:
            land: bool (2700, 5400).

        Raises:
            UserError: if a part has no patch with that much land.
        """
        size = self.patch_size
        first, end = self._rows
        wrapped = np.concatenate([land[first:end], land[first:end, :size]], 1)
        # land_before[y, x] counts the land in the first y rows, of these latitudes, and x columns.
        land_before = np.zeros((end - first + 1, WIDTH + size + 1), dtype=np.int32)
        land_before[1:, 1:] = wrapped.cumsum(0, dtype=np.int32).cumsum(1, dtype=np.int32)

        def inside(strips: list[tuple[int, int]], part: str) -> np.ndarray:
            tops = range(0, end - first - size + 1, self.stride)
            lefts = [
                column % WIDTH
                for left, right in strips
                for column in range(left + _MARGIN, right - _MARGIN - size + 1, self.stride)
            ]
            top, left = (grid.ravel() for grid in np.meshgrid(tops, lefts, indexing="ij"))
            bottom, right = top + size, left + size
            count = land_before[bottom, right] - land_before[top, right]
            count += land_before[top, left] - land_before[bottom, left]
            found = np.stack([top + first, left], 1)[count >= self.min_land * size**2]
            if not len(found):
                raise UserError(
                    f"data.min_land={self.min_land}: no patch of {size} pixels in the part of "
                    f"{part} has that much land; set a smaller data.min_land or data.patch_size"
                )
            generator = keyed_generator(0, f"order of map patches, {part}")
            order = torch.randperm(len(found), generator=generator).numpy()
            shuffled: np.ndarray = found[order]
            return shuffled

        strips = self._strips
        return Places(
            inside(strips[::2], "data.a"),
            inside(strips[1::2], "data.b"),
            inside([self._held_out], "data.held_out"),
        )


def _check_range(key: str, bounds: tuple[float, float], limit: float) -> None:
    fits = isinstance(bounds, Sequence) and len(bounds) == 2
    if not fits or not -limit <= bounds[0] < bounds[1] <= limit:
        raise UserError(
            f"data.{key}={bounds} must be two degrees in increasing order, from -{limit} to {limit}"
        )
