"""The multi-layer-perceptron GAN of Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661.

Layer kinds are those of sec. 5; sizes, dropout and initial ranges those of the MNIST settings
published with the paper (mnist.yaml). Left out: the output bias, which they set from the training
set's mean image, so that the network depends on its config alone.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from trompe.errors import Count
from trompe.networks.init import check_side
from trompe.networks.noise import Dropout

# `irange` in the published settings: weights are uniform in +-irange, biases 0.
_GENERATOR_RANGE = 0.05
_DISCRIMINATOR_RANGE = 0.005


@torch.no_grad()
def _init_uniform(network: nn.Module, irange: float) -> None:
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.uniform_(module.weight, -irange, irange)
            nn.init.zeros_(module.bias)


class Maxout(nn.Module):
    """The largest of `pieces` linear maps (Goodfellow et al. 2013, sec. 3)."""

    def __init__(self, before: int, after: int, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces
        self.linear = nn.Linear(before, after * pieces)

    def forward(self, x: Tensor) -> Tensor:
        """(N, before) to (N, after)."""
        units: Tensor = self.linear(x).unflatten(1, (-1, self.pieces))
        return units.amax(dim=2)


class MLPGenerator(nn.Module):
    """Two hidden ReLU layers and a sigmoid output.

    Args:
        resolution: side of the images, 1 to 256.
        channels: of the images.
        latent_dim: length of the latent z.
        width: units of a hidden layer.

    Raises:
        UserError: if the resolution is not supported.
    """

    def __init__(
        self, resolution: int, channels: Count, latent_dim: Count = 100, width: Count = 1200
    ) -> None:
        super().__init__()
        check_side(resolution)
        self.latent_dim = latent_dim
        self.shape = (channels, resolution, resolution)
        self.layers: Callable[[Tensor], Tensor] = nn.Sequential(
            nn.Linear(latent_dim, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, channels * resolution**2),
            nn.Sigmoid(),
        )
        _init_uniform(self, _GENERATOR_RANGE)

    def forward(self, z: Tensor) -> Tensor:
        """Latents (N, latent_dim) to images (N, channels, resolution, resolution) in [-1, 1]."""
        images: Tensor = self.layers(z).mul(2).sub(1).unflatten(1, self.shape)
        return images


class MLPDiscriminator(nn.Module):
    """Two maxout layers with dropout.

    Args:
        resolution: side of the images, 1 to 256.
        channels: of the images.
        width: units of a hidden layer.
        pieces: linear maps per maxout unit.
        dropout: share of hidden units left out in training.
        input_dropout: share of pixels left out in training.

    Raises:
        UserError: if the resolution is not supported.
    """

    def __init__(
        self,
        resolution: int,
        channels: Count,
        width: Count = 240,
        pieces: Count = 5,
        dropout: float = 0.5,
        input_dropout: float = 0.2,
    ) -> None:
        super().__init__()
        check_side(resolution)
        self.layers: Callable[[Tensor], Tensor] = nn.Sequential(
            nn.Flatten(),
            Dropout(input_dropout),
            Maxout(channels * resolution**2, width, pieces),
            Dropout(dropout),
            Maxout(width, width, pieces),
            Dropout(dropout),
            nn.Linear(width, 1),
        )
        _init_uniform(self, _DISCRIMINATOR_RANGE)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, channels, resolution, resolution) in [-1, 1] to logits (N,)."""
        return self.layers(images).flatten()
