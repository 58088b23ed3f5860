"""DCGAN: Radford, Metz and Chintala 2015, https://arxiv.org/abs/1511.06434, sec. 3 and Figure 1."""

from collections.abc import Callable
from itertools import pairwise

from torch import Tensor, nn

from trompe.networks.init import check_power_of_two, init_normal

Norm = Callable[[int], nn.Module]


def _widths(resolution: int, width: int, max_multiplier: int) -> list[int]:
    """Feature maps from the finest stage (half the resolution) to the coarsest (4x4)."""
    stages = resolution.bit_length() - 3  # log2(resolution / 4)
    return [width * min(2**i, max_multiplier) for i in range(stages)]


def _norm(norm: Norm | None, channels: int) -> list[nn.Module]:
    return [norm(channels)] if norm is not None else []


class DCGANGenerator(nn.Module):
    """Fractionally-strided convolutions from a latent to an image.

    Args:
        resolution: side of the images, a power of two from 16 to 256.
        channels: of the images.
        latent_dim: length of the latent z (100 in the paper).
        width: feature maps at half the resolution; doubled at every coarser stage.
        max_multiplier: no stage has more than `max_multiplier * width` maps.
        norm: makes a normalisation layer from a channel count; None leaves it out.

    Raises:
        UserError: if the resolution is not supported.
    """

    def __init__(
        self,
        resolution: int,
        channels: int = 3,
        latent_dim: int = 100,
        width: int = 64,
        max_multiplier: int = 8,
        norm: Norm | None = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        check_power_of_two(resolution)
        self.latent_dim = latent_dim
        widths = _widths(resolution, width, max_multiplier)[::-1]
        bias = norm is None
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(latent_dim, widths[0], 4, 1, 0, bias=bias),
            *_norm(norm, widths[0]),
            nn.ReLU(inplace=True),
        ]
        for before, after in pairwise(widths):
            layers += [
                nn.ConvTranspose2d(before, after, 4, 2, 1, bias=bias),
                *_norm(norm, after),
                nn.ReLU(inplace=True),
            ]
        layers += [nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1, bias=bias), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        init_normal(self)

    def forward(self, z: Tensor) -> Tensor:
        """Latents (N, latent_dim) to images (N, channels, resolution, resolution) in [-1, 1]."""
        return self.layers(z[:, :, None, None])


class DCGANDiscriminator(nn.Module):
    """Strided convolutions from an image to one logit.

    Args:
        resolution: side of the images, a power of two from 16 to 256.
        channels: of the images.
        width: feature maps at half the resolution; doubled at every coarser stage.
        max_multiplier: no stage has more than `max_multiplier * width` maps.
        norm: makes a normalisation layer from a channel count, for all but the first and last
            layer (sec. 3); None leaves it out.

    Raises:
        UserError: if the resolution is not supported.
    """

    def __init__(
        self,
        resolution: int,
        channels: int = 3,
        width: int = 64,
        max_multiplier: int = 8,
        norm: Norm | None = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        check_power_of_two(resolution)
        widths = _widths(resolution, width, max_multiplier)
        bias = norm is None
        layers: list[nn.Module] = [
            nn.Conv2d(channels, widths[0], 4, 2, 1, bias=bias),
            nn.LeakyReLU(0.2, inplace=True),  # slope: Radford et al. 2015, sec. 4
        ]
        for before, after in pairwise(widths):
            layers += [
                nn.Conv2d(before, after, 4, 2, 1, bias=bias),
                *_norm(norm, after),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        layers.append(nn.Conv2d(widths[-1], 1, 4, 1, 0, bias=bias))
        self.layers = nn.Sequential(*layers)
        init_normal(self)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, channels, resolution, resolution) in [-1, 1] to logits (N,)."""
        return self.layers(images).flatten()
