"""Projected GANs: Sauer et al. 2021, https://arxiv.org/abs/2111.01007."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate
from torch.nn.utils.parametrizations import spectral_norm

from trompe.engine.randomness import keyed_generator
from trompe.errors import Count, UserError
from trompe.networks.class_projection import ClassProjection
from trompe.networks.conditional_norm import Norm, norm_layers
from trompe.networks.perceptual_network import MINIMUM_SIDE, PerceptualNetwork
from trompe.networks.sight import Sight

_END = 4  # pixels: the side at which every scale is judged (sec. 3.2)


class ProjectedDiscriminator(nn.Module):
    """Discriminators at several scales, on fixed random projections of a pretrained network.

    Args:
        resolution: side of the images.
        network: its content layers are projected; it is not trained, and in no checkpoint.
        side: images are enlarged to it before the network sees them; None leaves them.
        width: maps of the projections at the finest scale, twice as many at each coarser one.
        mix_scales: whether coarser scales are mixed into finer ones (sec. 3.2, "cross-scale
            mixing"); otherwise channels alone are mixed.
        seed: of the projections, which no checkpoint needs to hold.
        classes: of the labels; 0 for none.
        norm: makes a normalization layer from a channel count, for the trained layers but the last;
            None leaves it out.

    Attributes:
        teachers: names of the networks that it looks through.

    Raises:
        UserError: if the network would see too few pixels.
    """

    def __init__(
        self,
        resolution: int,
        network: PerceptualNetwork,
        side: int | None = None,
        width: Count = 64,
        mix_scales: bool = True,
        seed: int = 0,
        classes: int = 0,
        norm: Norm | None = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        self.side = side or resolution
        if self.side < MINIMUM_SIDE:
            raise UserError(
                f"model.discriminator.side={self.side} must be at least {MINIMUM_SIDE} pixels"
            )
        self.sight = Sight(network)
        self.teachers = (network.name,)
        widths = [width * 2**scale for scale in range(len(self.sight.channels))]
        self.projection = RandomProjection(self.sight.channels, widths, mix_scales, seed)
        self.heads = nn.ModuleList(
            Head(w, math.ceil(self.side / stride), classes, norm)
            for w, stride in zip(widths, self.sight.strides, strict=True)
        )

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits (N, P) of all scales' places, for images (N, 1 or 3, H, W) in [-1, 1].

        Args:
            images: real or generated.
            labels: (N,), if there are classes.
        """
        images = images.expand(-1, 3, -1, -1)
        if images.shape[2] != self.side:
            images = interpolate(images, (self.side, self.side), mode="bilinear")
        maps = self.projection(self.sight(images))
        logits = [head(m, labels) for head, m in zip(self.heads, maps, strict=True)]
        return torch.cat(logits, 1)


class RandomProjection(nn.Module):
    """Features mixed at random, over channels and over scales; differentiable, never trained.

    Args:
        channels: of the features, from fine to coarse.
        widths: of what is made of them.
        mix_scales: see `ProjectedDiscriminator`.
        seed: of the weights.
    """

    def __init__(
        self, channels: Sequence[int], widths: Sequence[int], mix_scales: bool, seed: int
    ) -> None:
        super().__init__()
        self.mix_scales = mix_scales
        generator = keyed_generator(seed, "random projections")
        pairs = list(zip(channels, widths, strict=True))
        shapes = {f"channels_{i}": (after, before, 1, 1) for i, (before, after) in enumerate(pairs)}
        if mix_scales:
            finer = list(zip(widths[1:], widths[:-1], strict=True))
            shapes |= {
                f"scales_{i}": (fine, coarse, 3, 3) for i, (coarse, fine) in enumerate(finer)
            }
        for name, shape in shapes.items():
            # Kaiming initialization (sec. 3.2), for maps that no ReLU follows.
            weight = torch.randn(shape, generator=generator) / math.sqrt(math.prod(shape[1:]))
            self.register_buffer(name, weight, persistent=False)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps (N, C, H, W), from fine to coarse, to as many of the same sides."""
        mixed = [conv2d(m, self.get_buffer(f"channels_{i}")) for i, m in enumerate(maps)]
        if self.mix_scales:
            for i in reversed(range(len(mixed) - 1)):
                coarse = interpolate(mixed[i + 1], mixed[i].shape[2:], mode="bilinear")
                mixed[i] = mixed[i] + conv2d(coarse, self.get_buffer(f"scales_{i}"), padding=1)
        return mixed


class Head(nn.Module):
    """What judges one scale: strided convolutions to 4x4, then a logit of every place.

    Args:
        width: maps that come in.
        side: their side.
        classes: of the labels; 0 for none.
        norm: see `ProjectedDiscriminator`.
    """

    def __init__(self, width: int, side: int, classes: int, norm: Norm | None) -> None:
        super().__init__()
        halvings = []
        while side > _END:
            halvings.append((4, 2, 1))
            side = side // 2
        layers: list[nn.Module] = []
        for kernel, stride, padding in halvings or [(3, 1, 1)]:
            convolution = nn.Conv2d(width, width, kernel, stride, padding, bias=norm is None)
            layers += [spectral_norm(convolution), *norm_layers(norm, width), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)
        self.out = spectral_norm(nn.Conv2d(width, 1, 3, 1, 1))
        self.projection = ClassProjection(width, classes) if classes else None

    def forward(self, maps: Tensor, labels: Tensor | None) -> Tensor:
        """Maps (N, width, side, side) to logits (N, P)."""
        features = self.layers(maps)
        logits: Tensor = self.out(features).flatten(1)
        if self.projection is not None:
            logits = logits + self.projection(features.mean((2, 3)), labels)[:, None]
        return logits
