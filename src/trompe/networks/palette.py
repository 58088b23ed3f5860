"""The colors of a picture as a Gaussian, and pictures in the colors of others, in closed form."""

import torch
from torch import Tensor

# Numbers that describe a palette: the mean of a picture's colors, and the upper triangle of their
# covariance.
PALETTE_DIM = 9
ROWS, COLUMNS = (0, 0, 0, 1, 1, 2), (0, 1, 2, 1, 2, 2)
_FULL = (0, 1, 2, 1, 3, 4, 2, 4, 5)  # where each number of the matrix stands in its triangle
# Added to variances, in [-1, 1] squared: 4 gray levels of 255. Fewer would be blown up.
_NOISE = 1e-3
# For roots that differ by a factor of up to 1e4: 1.5^23 is 1e4, and then it is quadratic.
_STEPS = 28


def palette_of(images: Tensor) -> Tensor:
    """The palettes (N, 9) of images (N, 3, H, W) in [-1, 1], float32."""
    colors = images.float().flatten(2)
    mean = colors.mean(2, keepdim=True)
    with torch.autocast(images.device.type, enabled=False):
        covariance = (colors - mean) @ (colors - mean).mT / colors.shape[2]
    return torch.cat([mean[..., 0], covariance[:, ROWS, COLUMNS]], 1)


def color_map(own: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The affine map of colors that takes one palette to another with the least change.

    The optimal transport between two Gaussians: A = S2 (S1 S2)^-1/2 for covariances S1 and S2,
    which is S1^-1/2 (S1^1/2 S2 S1^1/2)^1/2 S1^-1/2 (Pitié and Kokaram 2007, "The linear
    Monge-Kantorovitch linear colour mapping for example-based colour transfer").

    Args:
        own: palettes (N, 9).
        wanted: palettes (N, 9).

    Returns:
        A (N, 3, 3) and b (N, 3), float32: a color x becomes A x + b.
    """
    with torch.autocast(own.device.type, enabled=False):
        first, second = _covariance(own.double()), _covariance(wanted.double())
        matrix = (second @ _inverse_root(first @ second)).float()
        shift = wanted[:, :3].float() - (matrix @ own[:, :3, None].float())[..., 0]
    return matrix, shift


def recolor(images: Tensor, matrix: Tensor, shift: Tensor) -> Tensor:
    """Images (N, 3, H, W) with each color x replaced by A x + b, float32; see `color_map`."""
    with torch.autocast(images.device.type, enabled=False):
        colors = matrix @ images.float().flatten(2) + shift[..., None]
    return colors.view_as(images)


def _covariance(palette: Tensor) -> Tensor:
    found = palette[:, 3:][:, _FULL].view(-1, 3, 3)
    return found + _NOISE * torch.eye(3, dtype=palette.dtype, device=palette.device)


def _inverse_root(matrices: Tensor) -> Tensor:
    """M^-1/2 of matrices (N, 3, 3), float64, whose eigenvalues are real and above 0.

    The coupled Newton-Schulz iteration (Higham 2008, "Functions of Matrices", eq. 6.35): products
    only, so that it can be exported. Each step makes the smallest root 1.5 times as large, until
    all are 1.
    """
    identity = torch.eye(3, dtype=matrices.dtype, device=matrices.device)
    scale = matrices.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]  # above each eigenvalue
    root, inverse = matrices / scale, identity.expand_as(matrices)
    for _ in range(_STEPS):
        step = (3 * identity - inverse @ root) / 2
        root, inverse = root @ step, step @ inverse
    return inverse / scale.sqrt()
