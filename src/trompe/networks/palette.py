"""The colors of a picture as a Gaussian, and pictures in the colors of others, in closed form."""

from torch import Tensor

from trompe.losses.transport import (
    gaussian_of,
    moved,
    pack,
    packed_size,
    transport,
    unpack,
)

# Numbers that describe a palette: the mean of a picture's colors, and the upper triangle of their
# covariance.
PALETTE_DIM = packed_size(3)
# Added to variances, in [-1, 1] squared: 4 gray levels of 255. Fewer would be blown up.
NOISE = 1e-3


def palette_of(images: Tensor) -> Tensor:
    """The palettes (N, 9) of images (N, 3, H, W) in [-1, 1], float32."""
    return pack(gaussian_of(images))


def color_map(own: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The affine map of colors that takes one palette to another with the least change.

    Args:
        own: palettes (N, 9).
        wanted: palettes (N, 9).

    Returns:
        A (N, 3, 3) and b (N, 3), float32: a color x becomes A x + b.
    """
    return transport(unpack(own, 3), unpack(wanted, 3), NOISE)


def recolor(images: Tensor, matrix: Tensor, shift: Tensor) -> Tensor:
    """Images (N, 3, H, W) with each color x replaced by A x + b, float32; see `color_map`."""
    return moved(images, matrix, shift)
