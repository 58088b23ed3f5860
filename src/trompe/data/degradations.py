"""What has happened to a picture: noise, gaps, fewer pixels, JPEG.

Pictures are (N, C, H, W), float32 in [0, 1].
"""

import io
import math
from collections.abc import Callable

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate, pad

from trompe.data.picture_file import read_picture
from trompe.engine.randomness import keyed_generator
from trompe.errors import Count, UserError, is_number, show
from trompe.images import enlarged, from_picture, to_levels, to_picture
from trompe.paths import expand


class Degradation:
    """Nothing has happened; base of all others."""

    factor: int = 1

    def degrade(self, picture: Tensor, seed: int) -> Tensor:
        """The degraded picture, of a good one."""
        return self.observe(picture)

    def observe(self, picture: Tensor) -> Tensor:
        """What of it does not depend on chance; differentiable."""
        return picture

    def undo(self, degraded: Tensor, known: Tensor) -> Tensor:
        """What a plain way makes of it, to compare a better one with: here, nothing.

        Args:
            degraded: (1, C, h, w).
            known: where it is known, (1, 1, h, w).
        """
        return degraded

    def complete(self, restored: Tensor, degraded: Tensor, known: Tensor) -> Tensor:
        """The restored picture, with what is known for certain as it is: here, nothing.

        Args:
            restored: (1, C, H, W).
            degraded: (1, C, h, w).
            known: where it is known, (1, 1, h, w).
        """
        return restored

    def known(self, height: int, width: int, seed: int) -> Tensor:
        """Where the degraded picture (height, width) is known: (1, 1, height, width) of 1 and 0.

        Raises:
            UserError: if that does not fit the picture.
        """
        return torch.ones(1, 1, height, width)


class GaussianNoise(Degradation):
    """Noise of a normal distribution on every value, cut off at black and white.

    Args:
        sigma: its standard deviation, in levels of 255.

    Raises:
        UserError: if it is not above 0.
    """

    def __init__(self, sigma: float) -> None:
        if not is_number(sigma) or not 0 < sigma <= 255:
            raise UserError(f"data.degradation.sigma={show(sigma)} must be above 0, at most 255")
        self.sigma = sigma

    def degrade(self, picture: Tensor, seed: int) -> Tensor:
        """See `Degradation`."""
        noise = torch.randn(picture.shape, generator=keyed_generator(seed, "noise"))
        return (picture + noise * (self.sigma / 255)).clamp(0, 1)


class Jpeg(Degradation):
    """Compression by JPEG.

    Args:
        quality: Pillow's, 1 to 95.

    Raises:
        UserError: if it is another.
    """

    def __init__(self, quality: Count) -> None:
        if not 1 <= quality <= 95:
            raise UserError(f"data.degradation.quality={show(quality)} must be from 1 to 95")
        self.quality = quality

    def degrade(self, picture: Tensor, seed: int) -> Tensor:
        """See `Degradation`."""
        pictures = []
        for one in picture:
            file = io.BytesIO()
            to_picture(to_levels(one)).save(file, "JPEG", quality=self.quality)
            pictures.append(from_picture(Image.open(file)))
        return torch.stack(pictures).float() / 255


class Gaps(Degradation):
    """Some places are not known.

    Args:
        mask: a picture of the same size, white where nothing is known; or
        share: of the pixels that are unknown, scattered by chance.

    Raises:
        UserError: unless exactly one of them is given, as it must be.
    """

    def __init__(self, mask: str | None = None, share: float | None = None) -> None:
        if (mask is None) == (share is None):
            raise UserError("data.degradation needs either mask=PICTURE, or share= of the pixels")
        if share is not None and (not is_number(share) or not 0 < share < 1):
            raise UserError(f"data.degradation.share={show(share)} must be between 0 and 1")
        self.share = share or 0.0
        self._mask = None if mask is None else read_mask(mask)
        self._name = mask

    def degrade(self, picture: Tensor, seed: int) -> Tensor:
        """See `Degradation`: black where nothing is known."""
        height, width = picture.shape[2:]
        return picture * self.known(height, width, seed)

    def undo(self, degraded: Tensor, known: Tensor) -> Tensor:
        """See `Degradation`: gaps get the mean of what is near, each from as far as it takes."""
        filled, weights = degraded * known, known
        made, there = filled, known
        while not bool(there.all()):
            filled, weights = _halved(filled), _halved(weights)
            size = degraded.shape[2:]
            near = interpolate(weights, size, mode="bilinear")
            coarse = interpolate(filled, size, mode="bilinear") / near.clamp(min=1e-6)
            found = (near > 0) & (there == 0)
            made, there = torch.where(found, coarse, made), torch.where(found, 1.0, there)
        return made

    def complete(self, restored: Tensor, degraded: Tensor, known: Tensor) -> Tensor:
        """See `Degradation`: all but the gaps."""
        return torch.where(known.bool(), degraded, restored)

    def known(self, height: int, width: int, seed: int) -> Tensor:
        """See `Degradation`."""
        if self._mask is None:
            chance = torch.rand(1, 1, height, width, generator=keyed_generator(seed, "gaps"))
            return (chance >= self.share).float()
        if self._mask.shape[2:] != (height, width):
            sizes = " x ".join(map(str, reversed(self._mask.shape[2:])))
            raise UserError(
                f"data.degradation.mask={self._name} has {sizes} pixels, but the picture has "
                f"{width} x {height}: they must be the same"
            )
        return self._mask


class Downsampling(Degradation):
    """Fewer pixels: each is a weighted mean of those around its middle.

    Args:
        factor: times fewer along each side.
        kernel: a name in `KERNELS`.

    Raises:
        UserError: if there is no such kernel, or the factor is 1.
    """

    def __init__(self, factor: Count, kernel: str) -> None:
        if factor < 2:
            raise UserError(f"data.degradation.factor={factor} must be at least 2")
        if kernel not in KERNELS:
            raise UserError(
                f"data.degradation.kernel={kernel} is not known: choose one of {', '.join(KERNELS)}"
            )
        self.factor = factor
        self.taps = taps_of(kernel, factor)

    def undo(self, degraded: Tensor, known: Tensor) -> Tensor:
        """See `Degradation`: enlarged by bicubic interpolation, as Pillow has it."""
        return enlarged(degraded, self.factor).clamp(0, 1)

    def observe(self, picture: Tensor) -> Tensor:
        """See `Degradation`.

        Raises:
            UserError: if the factor does not divide the picture's sides.
        """
        height, width = picture.shape[2:]
        if height % self.factor or width % self.factor:
            raise UserError(
                f"data.degradation.factor={self.factor} must divide the {width} x {height} pixels "
                "of the picture"
            )
        taps = self.taps.to(picture)
        for dim in (2, 3):
            picture = _strided(picture, taps, self.factor, dim)
        return picture


def _halved(maps: Tensor) -> Tensor:
    return avg_pool2d(maps, 2, ceil_mode=True)


def _strided(picture: Tensor, taps: Tensor, stride: int, dim: int) -> Tensor:
    """One dimension filtered and thinned out, its edges mirrored."""
    around = (len(taps) - stride) // 2
    channels = picture.shape[1]
    is_rows = dim == 2
    padding = (0, 0, around, around) if is_rows else (around, around, 0, 0)
    # Repeats the edge where there are too few pixels to mirror.
    mode = "reflect" if around < picture.shape[dim] else "replicate"
    kernel = taps[:, None] if is_rows else taps[None]
    weight = kernel.expand(channels, 1, -1, -1)
    strides = (stride, 1) if is_rows else (1, stride)
    return conv2d(pad(picture, padding, mode=mode), weight, stride=strides, groups=channels)


def _lanczos(lobes: int) -> Callable[[float], float]:
    def kernel(x: float) -> float:
        if x == 0:
            return 1.0
        t = math.pi * x
        return lobes * math.sin(t) * math.sin(t / lobes) / t**2 if abs(x) < lobes else 0.0

    return kernel


def _bicubic(x: float) -> float:
    """Keys 1981 with a = -0.5, as Pillow and MATLAB have it."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def _box(x: float) -> float:
    return 1.0 if abs(x) < 0.5 else 0.0


# Functions of the distance in pixels of the small picture, and how far they reach.
KERNELS: dict[str, tuple[Callable[[float], float], float]] = {
    "lanczos2": (_lanczos(2), 2),
    "lanczos3": (_lanczos(3), 3),
    "bicubic": (_bicubic, 2),
    "box": (_box, 0.5),
}


def taps_of(kernel: str, factor: int) -> Tensor:
    """The weights (K,) of a kernel widened by the factor; their sum is 1, K - factor is even."""
    function, reach = KERNELS[kernel]
    count = int(2 * reach * factor)
    count -= (count - factor) % 2
    places = [((i + 0.5) - count / 2) / factor for i in range(count)]
    taps = torch.tensor([function(place) for place in places], dtype=torch.float64)
    return (taps / taps.sum()).float()


def read_mask(mask: str) -> Tensor:
    """Where a mask is not white: (1, 1, H, W) of 1 and 0.

    Raises:
        UserError: if it cannot be read, or is white everywhere or nowhere.
    """
    key = "data.degradation.mask"
    levels = from_picture(read_picture(key, expand(mask, key), "L"))
    known = (levels[None] < 128).float()
    if known.all() or not known.any():
        where = "nowhere" if known.all() else "everywhere"
        raise UserError(f"{key}={mask} is white {where}: white is what is to be filled in")
    return known
