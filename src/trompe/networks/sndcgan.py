"""SNDCGAN: the "standard CNN" of Miyato et al. 2018, https://arxiv.org/abs/1802.05957, Table 3."""

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from trompe.errors import Count
from trompe.networks.class_projection import make_projection
from trompe.networks.conditional_norm import ConditionalNorm, Layers
from trompe.networks.init import check_power_of_two, init_normal


class SNDCGANGenerator(nn.Module):
    """A dense layer and three fractionally-strided convolutions (Table 3a).

    Args:
        resolution: side of the images, a power of two from 16 to 256 (32 or 48 in the paper).
        channels: of the images.
        latent_dim: length of the latent z.
        width: feature maps at full resolution; 8 times as many at an eighth of it.
        classes: of the labels, which scale and shift what is normalized; 0 for none.

    Raises:
        UserError: if the resolution is not supported.
    """

    def __init__(
        self,
        resolution: int = 32,
        channels: Count = 3,
        latent_dim: Count = 128,
        width: Count = 64,
        classes: int = 0,
    ) -> None:
        super().__init__()
        check_power_of_two(resolution)
        self.latent_dim = latent_dim
        self.side = resolution // 8
        self.dense = nn.Linear(latent_dim, 8 * width * self.side**2)
        layers: list[nn.Module] = []
        for multiplier in (4, 2, 1):
            after = multiplier * width
            norm: nn.Module = nn.BatchNorm2d(after)
            layers += [
                nn.ConvTranspose2d(2 * after, after, 4, 2, 1),
                ConditionalNorm(norm, after, classes) if classes else norm,
                nn.ReLU(inplace=True),
            ]
        layers += [nn.Conv2d(width, channels, 3, 1, 1), nn.Tanh()]
        self.layers = Layers(*layers)
        init_normal(self)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents (N, latent_dim), and labels (N,) if there are classes, to images in [-1, 1].

        These are (N, channels, resolution, resolution).
        """
        maps = self.dense(z).unflatten(1, (-1, self.side, self.side))
        images: Tensor = self.layers(maps, labels)
        return images


class SNDCGANDiscriminator(nn.Module):
    """Seven spectrally normalized convolutions and a dense layer (Table 3b).

    Args:
        resolution: side of the images, a power of two from 16 to 256.
        channels: of the images.
        width: feature maps at full resolution; 8 times as many at an eighth of it.
        classes: of the labels, by projection (Miyato and Koyama 2018), its embedding spectrally
            normalized too (there, sec. 5); 0 for none.

    Raises:
        UserError: if the resolution is not supported.
    """

    def __init__(
        self, resolution: int = 32, channels: Count = 3, width: Count = 64, classes: int = 0
    ) -> None:
        super().__init__()
        check_power_of_two(resolution)
        layers: list[nn.Module] = []
        before = channels
        for multiplier in (1, 2, 4):
            after = multiplier * width
            layers += [
                nn.Conv2d(before, after, 3, 1, 1),
                nn.LeakyReLU(0.1, inplace=True),  # slope: Table 3
                nn.Conv2d(after, after, 4, 2, 1),
                nn.LeakyReLU(0.1, inplace=True),
            ]
            before = after
        layers += [nn.Conv2d(before, 8 * width, 3, 1, 1), nn.LeakyReLU(0.1, inplace=True)]
        layers += [nn.Flatten(), nn.Linear(8 * width * (resolution // 8) ** 2, 1)]
        self.layers = nn.Sequential(*layers)
        init_normal(self)
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                spectral_norm(layer)
        self.projection = make_projection(8 * width, classes)
        if self.projection is not None:
            spectral_norm(self.projection.embedding)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (N, channels, H, W) in [-1, 1], and labels (N,) if there are classes, to (N,)."""
        *before, flatten, last = self.layers
        features = images
        for layer in before:
            features = layer(features)
        logits: Tensor = last(flatten(features)).flatten()
        if self.projection is not None:
            logits = logits + self.projection(features.sum((2, 3)), labels)
        return logits
