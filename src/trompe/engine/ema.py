"""Exponential moving average of a network, its half-life in images."""

import torch
from torch import Tensor, nn


def ema_decay(batch_size: int, half_life_kimg: float, images: int, rampup: float) -> float:
    """The factor by which the average forgets in one batch.

    After `half_life_kimg` thousand images half of the average is newer than that. Early on the
    half-life is cut to `rampup` times the images seen, so that the average follows quickly at
    first (Karras et al. 2020, StyleGAN2-ADA, training loop; Karras et al. 2022, EDM).
    """
    half_life = half_life_kimg * 1000
    if rampup > 0:
        half_life = min(half_life, images * rampup)
    return 0.5 ** (batch_size / max(half_life, 1e-8))


@torch.no_grad()
def update_ema(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move `average` toward `network`: parameters and floating-point buffers alike.

    Buffers (batch-norm statistics) are averaged too, for they must fit the averaged weights.
    """
    mine: list[Tensor] = []
    theirs: list[Tensor] = []
    for old, new in zip(_state(average), _state(network), strict=True):
        if old.is_floating_point():
            mine.append(old)
            theirs.append(new)
        else:
            old.copy_(new)
    torch._foreach_lerp_(mine, theirs, 1 - decay)


def _state(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]
