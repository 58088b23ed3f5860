"""The colors of a picture as a Gaussian, and pictures in the colors of others, in closed form."""

import torch
from torch import Tensor

# Numbers that describe a palette: the mean of a picture's colors, and the upper triangle of their
# covariance.
PALETTE_DIM = 9
_ROWS, _COLUMNS = (0, 0, 0, 1, 1, 2), (0, 1, 2, 1, 2, 2)
# Added to variances, in [-1, 1] squared: 4 gray levels of 255. Fewer would be blown up.
_NOISE = 1e-3


def palette_of(images: Tensor) -> Tensor:
    """The palettes (N, 9) of images (N, 3, H, W) in [-1, 1], float32."""
    colors = images.float().flatten(2)
    mean = colors.mean(2, keepdim=True)
    with torch.autocast(images.device.type, enabled=False):
        covariance = (colors - mean) @ (colors - mean).mT / colors.shape[2]
    return torch.cat([mean[..., 0], covariance[:, _ROWS, _COLUMNS]], 1)


def color_map(own: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The affine map of colors that takes one palette to another with the least change.

    The optimal transport between two Gaussians: A = S1^-1/2 (S1^1/2 S2 S1^1/2)^1/2 S1^-1/2 for
    covariances S1 and S2 (Pitié and Kokaram 2007, "The linear Monge-Kantorovitch linear colour
    mapping for example-based colour transfer").

    Args:
        own: palettes (N, 9).
        wanted: palettes (N, 9).

    Returns:
        A (N, 3, 3) and b (N, 3): a color x becomes A x + b.
    """
    with torch.autocast(own.device.type, enabled=False):
        first, second = _covariance(own.float()), _covariance(wanted.float())
        root, inverse = _roots(first)
        middle, _ = _roots(root @ second @ root)
        matrix = inverse @ middle @ inverse
        shift = wanted[:, :3].float() - (matrix @ own[:, :3, None].float())[..., 0]
    return matrix, shift


def recolor(images: Tensor, matrix: Tensor, shift: Tensor) -> Tensor:
    """Images (N, 3, H, W) with each color x replaced by A x + b, float32; see `color_map`."""
    with torch.autocast(images.device.type, enabled=False):
        colors = matrix @ images.float().flatten(2) + shift[..., None]
    return colors.view_as(images)


def _covariance(palette: Tensor) -> Tensor:
    found = palette.new_zeros(len(palette), 3, 3)
    found[:, _ROWS, _COLUMNS] = palette[:, 3:]
    found[:, _COLUMNS, _ROWS] = palette[:, 3:]
    return found + _NOISE * torch.eye(3, device=palette.device)


def _roots(symmetric: Tensor) -> tuple[Tensor, Tensor]:
    """The square root of positive definite matrices (N, 3, 3), and its inverse."""
    values, vectors = torch.linalg.eigh(symmetric)
    # What rounding made negative, or a mix of styles that is no covariance.
    lengths = values.clamp_min(_NOISE**2).sqrt()[:, None]
    return vectors * lengths @ vectors.mT, vectors / lengths @ vectors.mT
