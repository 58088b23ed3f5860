"""The kernel distance: squared maximum mean discrepancy with a cubic kernel.

Bińkowski, Sutherland, Arbel and Gretton 2018, https://arxiv.org/abs/1801.01401, sec. 4; on
Inception-v3's features they named it KID. Unlike a Fréchet distance it has an unbiased estimate, so
it works with few images, and is then negative about as often as positive for equal
distributions.
"""

import torch
from torch import Tensor

from trompe.metrics.score import Score

# Rows of a kernel matrix that are held at once: 2048 x 50,000 float64 are 800 MB.
_ROWS = 2048


def kernel_distance(real: Tensor, generated: Tensor) -> Score:
    """Unbiased estimate of MMD^2 and its standard error, from features (N, D) and (M, D).

    The kernel is ``(x . y / D + 1)^3``; all pairs are used (eq. 4 of the paper with m = N, n = M),
    in float64. The standard error is that of the estimate's first-order projection (Hoeffding):
    4 Var[E_x' k(x, x') - E_y k(x, y)] / N, and the same over y.

    Raises:
        ValueError: if there are fewer than 2 vectors on a side.
    """
    if min(len(real), len(generated)) < 2:
        raise ValueError("a kernel distance needs at least 2 images on each side")
    x, y = real.double(), generated.double()
    within_x, within_y = _within(x), _within(y)
    across = [_kernel(rows, y) for rows in x.split(_ROWS)]
    x_to_y = torch.cat([block.mean(1) for block in across])
    y_to_x = torch.stack([block.sum(0) for block in across]).sum(0) / len(x)
    value = within_x.mean() + within_y.mean() - 2 * x_to_y.mean()
    variance = 4 * (within_x - x_to_y).var() / len(x) + 4 * (within_y - y_to_x).var() / len(y)
    return Score(float(value), float(variance.sqrt()))


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T / a.shape[1] + 1) ** 3


def _within(x: Tensor) -> Tensor:
    """Mean kernel of each vector with all others of its set: (N,)."""
    sums = torch.cat([_kernel(rows, x).sum(1) for rows in x.split(_ROWS)])
    own = (x.square().sum(1) / x.shape[1] + 1) ** 3
    return (sums - own) / (len(x) - 1)
