"""Weight initialization and size checks that several networks share."""

import torch
from torch import nn

from trompe.errors import UserError

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


@torch.no_grad()
def init_normal(network: nn.Module, std: float = 0.02) -> None:
    """Weights from N(0, std), biases 0; normalization weights from N(1, std), biases 0.

    Embeddings of labels stay as they are, so that each kind has values of its own.

    Radford et al. 2015, sec. 4: "All weights were initialized from a zero-centered Normal
    distribution with standard deviation 0.02"; the normalization's follow the common practice.
    """
    for module in network.modules():
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        if not isinstance(weight, nn.Parameter) or isinstance(module, nn.Embedding):
            continue
        nn.init.normal_(weight, 0.0 if isinstance(module, _CONVOLUTIONS) else 1.0, std)
        if isinstance(bias, nn.Parameter):
            nn.init.zeros_(bias)


def check_side(resolution: int) -> None:
    """Refuse a side that is not one of 1, 2, ..., 256.

    Raises:
        UserError: naming the sizes that work.
    """
    if not 1 <= resolution <= 256:
        raise UserError(f"data.resolution={resolution}: this network needs 1 to 256 pixels")


def check_power_of_two(resolution: int) -> None:
    """Refuse a side that is not one of 16, 32, 64, 128, 256.

    Raises:
        UserError: naming the sizes that work.
    """
    if resolution not in (16, 32, 64, 128, 256):
        raise UserError(
            f"data.resolution={resolution}: this network needs 16, 32, 64, 128 or 256 pixels"
        )
