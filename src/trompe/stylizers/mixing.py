"""One style from several."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trompe.errors import UserError


def mix(codes: Tensor, weights: Sequence[float]) -> Tensor:
    """One style (1, S) from several (N, S).

    Raises:
        UserError: see `check_weights`.
    """
    check_weights(weights, len(codes))
    shares = torch.tensor([float(w) for w in weights], device=codes.device)
    return (shares / shares.sum())[None] @ codes


def check_weights(weights: Sequence[float] | None, count: int) -> None:
    """Refuse weights of styles that are not one for each, or not above 0 together.

    Raises:
        UserError: with the weights.
    """
    if weights is None:
        return
    if not weights or len(weights) != count or min(weights) < 0 or not sum(weights) > 0:
        raise UserError(
            f"style_weights={list(weights)} must be {count} numbers, one for each style, not "
            "below 0 and not all 0"
        )
