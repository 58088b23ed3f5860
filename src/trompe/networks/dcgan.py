"""DCGAN: Radford, Metz and Chintala 2015, https://arxiv.org/abs/1511.06434, sec. 3 and Figure 1."""

from collections.abc import Callable
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import linear

from trompe.errors import Count
from trompe.networks.init import check_power_of_two, init_normal

Norm = Callable[[int], nn.Module]


def _widths(resolution: int, width: int, max_multiplier: int) -> list[int]:
    """Feature maps from the finest stage (half the resolution) to the coarsest (4x4)."""
    stages = resolution.bit_length() - 3  # log2(resolution / 4)
    return [width * min(2**i, max_multiplier) for i in range(stages)]


def _norm(norm: Norm | None, channels: int) -> list[nn.Module]:
    return [norm(channels)] if norm is not None else []


class Project(nn.ConvTranspose2d):
    """A transposed 4x4 convolution of a 1x1 input: a matrix product, run as one.

    The weights are a convolution's, and 4x4 maps in the channels-last layout are the rows and
    columns of that product without a copy.
    """

    def forward(self, z: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, in) to (N, out, 4, 4)."""
        weight = self.weight.permute(2, 3, 1, 0).flatten(0, 2)
        maps: Tensor = linear(z, weight).unflatten(1, (4, 4, -1)).permute(0, 3, 1, 2)
        return maps if self.bias is None else maps + self.bias[:, None, None]


class Reduce(nn.Conv2d):
    """A 4x4 convolution of a 4x4 input: a matrix product, run as one (see `Project`)."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, in, 4, 4) to (N, out)."""
        rows, weight = (t.permute(0, 2, 3, 1).flatten(1) for t in (input, self.weight))
        return linear(rows, weight, self.bias)


class DCGANGenerator(nn.Module):
    """Fractionally-strided convolutions from a latent to an image.

    Args:
        resolution: side of the images, a power of two from 16 to 256.
        channels: of the images.
        latent_dim: length of the latent z (100 in the paper).
        width: feature maps at half the resolution; doubled at every coarser stage.
        max_multiplier: no stage has more than `max_multiplier * width` maps.
        norm: makes a normalization layer from a channel count; None leaves it out.

    Raises:
        UserError: if the resolution is not supported.
    """

    def __init__(
        self,
        resolution: int,
        channels: Count = 3,
        latent_dim: Count = 100,
        width: Count = 64,
        max_multiplier: int = 8,
        norm: Norm | None = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        check_power_of_two(resolution)
        self.latent_dim = latent_dim
        widths = _widths(resolution, width, max_multiplier)[::-1]
        bias = norm is None
        layers: list[nn.Module] = [
            Project(latent_dim, widths[0], 4, 1, 0, bias=bias),
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
        self.layers: Callable[[Tensor], Tensor] = nn.Sequential(*layers)
        init_normal(self)

    def forward(self, z: Tensor) -> Tensor:
        """Latents (N, latent_dim) to images (N, channels, resolution, resolution) in [-1, 1]."""
        return self.layers(z)


class DCGANDiscriminator(nn.Module):
    """Strided convolutions from an image to one logit.

    Args:
        resolution: side of the images, a power of two from 16 to 256.
        channels: of the images.
        width: feature maps at half the resolution; doubled at every coarser stage.
        max_multiplier: no stage has more than `max_multiplier * width` maps.
        norm: makes a normalization layer from a channel count, for all but the first and last
            layer (sec. 3); None leaves it out.

    Raises:
        UserError: if the resolution is not supported.
    """

    def __init__(
        self,
        resolution: int,
        channels: Count = 3,
        width: Count = 64,
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
        layers.append(Reduce(widths[-1], 1, 4, 1, 0, bias=bias))
        self.layers: Callable[[Tensor], Tensor] = nn.Sequential(*layers)
        init_normal(self)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, channels, resolution, resolution) in [-1, 1] to logits (N,)."""
        return self.layers(images).flatten()
