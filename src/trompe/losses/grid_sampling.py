"""Images under affine maps, differentiable twice: pixels copied, or resampled without aliasing.

A map is given by its inverse (N, 3, 3), from places of the result to places of the images, in
pixels right and down of the image's center. Beyond the border images are reflected, about the
outermost pixels' centers.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

# Low-pass filter of the wavelet "sym6" (Daubechies 1992, Ten Lectures on Wavelets, sec. 8.1.1), as
# in Karras et al. 2020, appendix B.2. Its even shifts are orthonormal, its taps sum to sqrt(2).
SYM6 = (
    *(0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633),
    *(0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252),
    *(-0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148),
)


def copy_pixels(images: Tensor, inverse: Tensor) -> Tensor:
    """Images (N, C, H, W) under maps that take pixels to pixels, exactly.

    Args:
        images: any values.
        inverse: (N, 3, 3) of images' type: flips, quarter turns and shifts by whole pixels.
    """
    kind: Any = {"dtype": inverse.dtype, "device": inverse.device}
    down, across = (torch.arange(side, **kind) for side in images.shape[-2:])
    grid = _sources(inverse, across, down, images.shape)
    return _sample(images, torch.stack([_folded(axis) for axis in grid], dim=-1), nearest=True)


def resample(images: Tensor, inverse: Tensor) -> Tensor:
    """Images (N, C, H, W) under any affine map (Karras et al. 2020, appendix B).

    Twice the resolution through a low-pass filter, sampled bilinearly at twice the result's
    resolution, which the same filter halves. The identity is exact up to rounding.

    Args:
        images: float32 or float64.
        inverse: (N, 3, 3) of images' type.
    """
    down, across = (_filters(side, images.dtype, images.device) for side in images.shape[-2:])
    finer = down.enlarge @ images @ across.enlarge.T
    grid = _sources(inverse, across.places, down.places, images.shape)
    grid = [axis.among_finer(source) for axis, source in zip((across, down), grid, strict=True)]
    sampled = _sample(finer, torch.stack(grid, dim=1).permute(0, 2, 3, 1))
    return down.reduce @ sampled @ across.reduce.T


class _Filters(NamedTuple):
    """How an axis of `side` pixels is enlarged to the finer pixels within reach, and reduced."""

    enlarge: Tensor  # (2 side + 10, side)
    reduce: Tensor  # (side, 2 side + 10)
    places: Tensor  # of the finer pixels, in pixels from the first one of `side`
    scale: float  # from places, where -1 to 1 is the image, to those where it is the finer one
    shift: float

    def among_finer(self, source: Tensor) -> Tensor:
        """Places as `_sources` gives them, as a sampler of the finer pixels takes them.

        It has a few beyond the border, that the filter sees exactly what it saw when enlarging.
        """
        plain = source * self.scale + self.shift
        inside = plain.abs() <= 1 + 1e-5  # for rounding
        return torch.where(inside, plain, _folded(source).mul_(self.scale).add_(self.shift))


# A training run has one size; on a device they would be copied to it for every batch.
@lru_cache(maxsize=8)
@torch.inference_mode(False)  # one call may be for a derivative, another not
def _filters(side: int, dtype: torch.dtype, device: torch.device) -> _Filters:
    taps = torch.tensor(SYM6, dtype=torch.float64)
    count = 2 * side + len(taps) - 2
    enlarge = torch.zeros(count, side, dtype=torch.float64)
    reduce = torch.zeros(side, count, dtype=torch.float64)
    for k in range(count):
        for tap in range(k % 2, len(taps), 2):
            enlarge[k, _reflected((k - tap) // 2, side)] += taps[tap] * math.sqrt(2)
    for pixel in range(side):
        reduce[pixel, 2 * pixel : 2 * pixel + len(taps)] = taps / math.sqrt(2)
    # A ramp stays a ramp, delayed by the filter's center of mass.
    center = float((taps * torch.arange(len(taps))).sum() / taps.sum())
    places = (torch.arange(count, dtype=torch.float64) - center) / 2
    first, last = (float(places[k]) - (side - 1) / 2 for k in (0, -1))
    return _Filters(
        enlarge.to(device, dtype),
        reduce.to(device, dtype),
        places.to(device, dtype),
        scale=max(side - 1, 1) / (last - first),
        shift=-(first + last) / (last - first),
    )


def _reflected(pixel: int, side: int) -> int:
    """Which of `side` pixels one beyond the border repeats."""
    period = max(2 * (side - 1), 1)
    return min(pixel % period, -pixel % period)


def _sources(inverse: Tensor, across: Tensor, down: Tensor, shape: Sequence[int]) -> list[Tensor]:
    """Where pixels at places `across` (W',) and `down` (H',) come from: x and y, (N, H', W').

    -1 to 1 is from the first to the last pixel of images of that shape.
    """
    height, width = shape[-2:]
    across, down = across - (width - 1) / 2, down - (height - 1) / 2
    rows = [inverse[:, i] / (max(side - 1, 1) / 2) for i, side in enumerate((width, height))]
    return [
        row[:, :1, None] * across + (row[:, 1:2] * down + row[:, 2:])[:, :, None] for row in rows
    ]


def _folded(source: Tensor) -> Tensor:
    """Places beyond -1 to 1 reflected into it: a triangular wave of period 4."""
    turns = ((source + 1) / 4).floor_()
    return turns.mul_(-4).add_(source).sub_(1).abs_().neg_().add_(1)


def _sample(images: Tensor, grid: Tensor, nearest: bool = False) -> Tensor:
    """Images (N, C, H, W) at places (N, H', W', 2)."""
    sampled: Tensor = _Sample.apply(images, grid, nearest)
    return sampled


class _Sample(Function):
    """Sampling is linear in the images: its derivative is the transposed map, and so on."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor, nearest: bool) -> Tensor:
        """Images (N, C, H, W) at (N, H', W', 2)."""
        ctx.save_for_backward(grid)
        ctx.nearest, ctx.shape = nearest, images.shape
        return torch.grid_sampler_2d(images, grid, int(nearest), 1, True)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Of the images alone."""
        (grid,) = ctx.saved_tensors
        return _Spread.apply(gradient, grid, ctx.nearest, ctx.shape), None, None


class _Spread(Function):
    """The transpose of `_Sample`."""

    @staticmethod
    def forward(ctx: Any, sampled: Tensor, grid: Tensor, nearest: bool, shape: Any) -> Tensor:
        """(N, C, H', W') to images of `shape`."""
        ctx.save_for_backward(grid)
        ctx.nearest = nearest
        images, _ = torch.ops.aten.grid_sampler_2d_backward(
            *(sampled.to(grid), sampled.new_empty(shape), grid),
            *(int(nearest), 1, True, (True, False)),
        )
        return images  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        """Which is `_Sample` again."""
        (grid,) = ctx.saved_tensors
        return _Sample.apply(gradient.to(grid), grid, ctx.nearest), None, None, None
