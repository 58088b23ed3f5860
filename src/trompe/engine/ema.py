"""Exponential moving average of a network, its half-life in images."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from trompe.engine.schedules import Number, check_number, value_at


class Averaged(nn.Module):
    """A copy of a network that follows it: parameters and floating-point buffers alike.

    It is always in evaluation mode and needs no gradients. Buffers (batch-norm statistics) are
    averaged too, because they must fit the averaged weights.

    Args:
        network: the one to follow; not a part of this module.
        half_life_kimg: thousands of images after which half of the average is newer; a number or a
            schedule.
        rampup: early on the half-life is at most this fraction of the images seen, so that the
            average follows quickly at first (Karras et al. 2020, StyleGAN2-ADA, training loop;
            Karras et al. 2022, EDM); 0 leaves it as it is.

    Attributes:
        network: the average.

    Raises:
        UserError: if a number is below 0, or none.
    """

    def __init__(self, network: nn.Module, half_life_kimg: Number, rampup: float = 0.0) -> None:
        super().__init__()
        check_number("model.ema_half_life_kimg", half_life_kimg, 0)
        check_number("model.ema_rampup", rampup, 0)
        self.network: Any = copy.deepcopy(network).requires_grad_(False)
        self._followed = (network,)  # in a tuple, so that its weights are not registered twice
        self.half_life_kimg = half_life_kimg
        self.rampup = rampup
        self._images = 0
        self.eval()

    @property
    def followed(self) -> nn.Module:
        """The network that is averaged."""
        return self._followed[0]

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """The averaged network's outputs for the inputs."""
        return self.network(*inputs, **options)

    def follow(self, images: int) -> None:
        """Update the average with the network after `images` have been seen."""
        half_life_kimg = value_at(self.half_life_kimg, images / 1000)
        decay = ema_decay(images - self._images, half_life_kimg, images, self.rampup)
        update_ema(self.network, self.followed, decay)
        self._images = images

    def train(self, mode: bool = True) -> "Averaged":
        """Stays in evaluation mode."""
        return super().train(False)

    def get_extra_state(self) -> Tensor:
        """The image count at which it was last brought up to date."""
        return torch.tensor(self._images)

    def set_extra_state(self, state: Tensor) -> None:
        """Resume at the image count of a checkpoint."""
        self._images = int(state)


def ema_decay(images_since: int, half_life_kimg: float, images: int, rampup: float) -> float:
    """The factor by which the average forgets over `images_since` images.

    Args:
        images_since: images since it was last brought up to date.
        half_life_kimg: see `Averaged`.
        images: seen so far.
        rampup: see `Averaged`.
    """
    half_life = half_life_kimg * 1000
    if rampup > 0:
        half_life = min(half_life, images * rampup)
    decay: float = 0.5 ** (images_since / max(half_life, 1e-8))
    return decay


@torch.no_grad()
def update_ema(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move `average` toward `network`: parameters and floating-point buffers alike."""
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
