"""DCGAN: Radford, Metz and Chintala 2015, https://arxiv.org/abs/1511.06434, sec. 3 and Figure 1."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import linear

from trompe.errors import Count, UserError
from trompe.networks.class_projection import make_projection
from trompe.networks.conditional_norm import Layers, Norm, norm_layers
from trompe.networks.init import check_power_of_two, init_normal


def _widths(resolution: int, width: int, max_multiplier: int) -> list[int]:
    """Feature maps from the finest stage (half the resolution) to the coarsest (4x4)."""
    stages = resolution.bit_length() - 3  # log2(resolution / 4)
    return [width * min(2**i, max_multiplier) for i in range(stages)]


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
        classes: of the labels, which scale and shift what is normalized; 0 for none.

    Raises:
        UserError: if the resolution is not supported, or there are classes and no normalization.
    """

    def __init__(
        self,
        resolution: int,
        channels: Count = 3,
        latent_dim: Count = 100,
        width: Count = 64,
        max_multiplier: int = 8,
        norm: Norm | None = nn.BatchNorm2d,
        classes: int = 0,
    ) -> None:
        super().__init__()
        check_power_of_two(resolution)
        if classes and norm is None:
            raise UserError(
                "model.generator.norm=null leaves no place for the classes: this generator has "
                "them scale and shift what is normalized"
            )
        self.latent_dim = latent_dim
        widths = _widths(resolution, width, max_multiplier)[::-1]
        bias = norm is None
        layers: list[nn.Module] = [
            Project(latent_dim, widths[0], 4, 1, 0, bias=bias),
            *norm_layers(norm, widths[0], classes),
            nn.ReLU(inplace=True),
        ]
        for before, after in pairwise(widths):
            layers += [
                nn.ConvTranspose2d(before, after, 4, 2, 1, bias=bias),
                *norm_layers(norm, after, classes),
                nn.ReLU(inplace=True),
            ]
        layers += [nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1, bias=bias), nn.Tanh()]
        self.layers = Layers(*layers)
        init_normal(self)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents (N, latent_dim), and labels (N,) if there are classes, to images in [-1, 1].

        These are (N, channels, resolution, resolution).
        """
        images: Tensor = self.layers(z, labels)
        return images


class DCGANDiscriminator(nn.Module):
    """Strided convolutions from an image to one logit.

    Args:
        resolution: side of the images, a power of two from 16 to 256.
        channels: of the images.
        width: feature maps at half the resolution; doubled at every coarser stage.
        max_multiplier: no stage has more than `max_multiplier * width` maps.
        norm: makes a normalization layer from a channel count, for all but the first and last
            layer (sec. 3); None leaves it out.
        classes: of the labels, by projection (Miyato and Koyama 2018); 0 for none.

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
        classes: int = 0,
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
                *norm_layers(norm, after),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        layers.append(Reduce(widths[-1], 1, 4, 1, 0, bias=bias))
        self.layers = nn.Sequential(*layers)
        init_normal(self)
        self.projection = make_projection(widths[-1], classes)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (N, channels, H, W) in [-1, 1], and labels (N,) if there are classes, to (N,)."""
        *before, last = self.layers
        features = images
        for layer in before:
            features = layer(features)
        logits: Tensor = last(features).flatten()
        if self.projection is not None:
            logits = logits + self.projection(features.sum((2, 3)), labels)
        return logits
