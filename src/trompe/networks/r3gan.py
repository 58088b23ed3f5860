"""R3GAN's networks: Huang et al. 2024, https://arxiv.org/abs/2501.05441, sec. 3 and appendix."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu

from trompe.errors import Count, UserError
from trompe.networks.class_projection import ClassProjection
from trompe.networks.init import check_power_of_two
from trompe.networks.resampling import Filter

_SLOPE = 0.2  # of the leaky ReLU, published settings
_RELU_GAIN = math.sqrt(2 / (1 + _SLOPE**2))


def convolution(
    inputs: int, outputs: int, kernel: int = 1, groups: int = 1, gain: float = 1.0
) -> nn.Conv2d:
    """Without a bias; weights from N(0, gain^2 / inputs of one output), 0 where the gain is."""
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
    nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.weight[0].numel()))
    return layer


class BiasedActivation(nn.Module):
    """A bias of each map, then a leaky ReLU; its gain is in the initial weights before it.

    Args:
        channels: of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        """(N, channels, H, W), the same shape."""
        return leaky_relu(features + self.bias.to(features.dtype)[:, None, None], _SLOPE)


class Block(nn.Module):
    """x + W3 a(W2 a(W1 x)): 1x1, grouped 3x3, 1x1, no normalization (sec. 3.3, Figure 4).

    W3 is 0 at first, so that the block is the identity; the others shrink with the number of blocks
    (Fixup: Zhang et al. 2019, sec. 3).

    Args:
        width: maps that come in and go out.
        expansion: as many times more of them inside.
        group_width: maps in a group of the 3x3 convolution.
        blocks: of the whole network.

    Raises:
        UserError: if the groups do not divide the maps inside.
    """

    def __init__(self, width: int, expansion: int, group_width: int, blocks: int) -> None:
        super().__init__()
        inside = width * expansion
        if inside % group_width:
            raise UserError(
                f"model: group_width={group_width} must divide {inside}, the {width} maps of a "
                f"stage times expansion={expansion}"
            )
        gain = _RELU_GAIN * blocks**-0.25
        self.layers = nn.Sequential(
            convolution(width, inside, gain=gain),
            BiasedActivation(inside),
            convolution(inside, inside, 3, groups=inside // group_width, gain=gain),
            BiasedActivation(inside),
            convolution(inside, width, gain=0),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, width, H, W), the same shape."""
        added: Tensor = self.layers(features)
        return features + added


class Resample(nn.Module):
    """To twice or half the side, and to another number of maps by a 1x1 convolution.

    Args:
        inputs: maps that come in.
        outputs: maps that go out.
        up: to twice the side; otherwise to half of it.
    """

    def __init__(self, inputs: int, outputs: int, up: bool) -> None:
        super().__init__()
        self.filter = Filter((1, 2, 1))
        self.up = up
        self.change = convolution(inputs, outputs) if inputs != outputs else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, 2 H, 2 W) or (N, outputs, H / 2, W / 2)."""
        # The convolution works at the smaller side; the two commute.
        result: Tensor
        if self.up:
            result = self.filter.up(self.change(features))
        else:
            result = self.change(self.filter.down(features))
        return result


def widths_of_stages(resolution: int, widths: Sequence[int]) -> list[int]:
    """The maps at sides 4, 8, ..., resolution: the last width at full resolution, and so on.

    If there are more sides than widths, the coarsest ones have the first width; if there are fewer,
    the first widths are left out.

    Raises:
        UserError: if the resolution is not supported, or there is no width.
    """
    check_power_of_two(resolution)
    if not widths:
        raise UserError("model: widths=[] must name at least one number of maps")
    stages = resolution.bit_length() - 2
    return [widths[0]] * (stages - len(widths)) + list(widths)[-stages:]


def tower(
    widths: Sequence[int], blocks: int, expansion: int, group_width: int, up: bool
) -> list[nn.Module]:
    """`blocks` blocks of each width, one width after the other, and between them a `Resample`."""
    layers: list[nn.Module] = []
    for before, width in zip([None, *widths], widths, strict=False):
        if before is not None:
            layers.append(Resample(before, width, up))
        total = blocks * len(widths)
        layers += [Block(width, expansion, group_width, total) for _ in range(blocks)]
    return layers


class R3GANGenerator(nn.Module):
    """A learned 4x4 basis weighted by the latent, then residual blocks at every side (Figure 4).

    Args:
        resolution: side of the images, a power of two from 16 to 256.
        channels: of the images.
        latent_dim: length of the latent z.
        widths: maps at sides 4, 8, ..., resolution, see `widths_of_stages`.
        blocks: at each side.
        expansion: see `Block`.
        group_width: see `Block`.
        classes: of the labels; 0 for none.

    Raises:
        UserError: if an argument does not fit the others.
    """

    def __init__(
        self,
        resolution: int,
        channels: Count = 3,
        latent_dim: Count = 64,
        widths: Sequence[int] = (768, 768, 768, 768),
        blocks: Count = 2,
        expansion: Count = 2,
        group_width: Count = 16,
        classes: int = 0,
    ) -> None:
        super().__init__()
        widths = widths_of_stages(resolution, widths)
        self.latent_dim = latent_dim
        self.embedding = nn.Embedding(classes, latent_dim) if classes else None
        self.basis = nn.Parameter(torch.randn(widths[0], 4, 4))
        self.weigh = nn.Linear(latent_dim * (2 if classes else 1), widths[0], bias=False)
        nn.init.normal_(self.weigh.weight, std=1 / math.sqrt(self.weigh.in_features))
        self.layers = nn.Sequential(*tower(widths, blocks, expansion, group_width, up=True))
        self.to_image = convolution(widths[-1], channels)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents (N, latent_dim), and labels (N,) if there are classes, to images near [-1, 1]."""
        if self.embedding is not None:
            latents = torch.cat([latents, self.embedding(labels)], 1)
        features = self.weigh(latents)[:, :, None, None] * self.basis
        images: Tensor = self.to_image(self.layers(features))
        return images.float()


class R3GANDiscriminator(nn.Module):
    """Residual blocks at every side, then a 4x4 depthwise basis and a dense layer (Figure 4).

    Args:
        resolution: side of the images, a power of two from 16 to 256.
        channels: of the images.
        widths: maps at sides 4, 8, ..., resolution, as the generator's.
        blocks: at each side.
        expansion: see `Block`.
        group_width: see `Block`.
        classes: of the labels; 0 for none.

    Raises:
        UserError: if an argument does not fit the others.
    """

    def __init__(
        self,
        resolution: int,
        channels: Count = 3,
        widths: Sequence[int] = (768, 768, 768, 768),
        blocks: Count = 2,
        expansion: Count = 2,
        group_width: Count = 16,
        classes: int = 0,
    ) -> None:
        super().__init__()
        widths = widths_of_stages(resolution, widths)
        self.layers = nn.Sequential(
            convolution(channels, widths[-1]),
            *tower(widths[::-1], blocks, expansion, group_width, up=False),
        )
        self.basis = nn.Parameter(torch.randn(widths[0], 1, 4, 4) / 4)
        self.out = nn.Linear(widths[0], 1, bias=False)
        nn.init.normal_(self.out.weight, std=1 / math.sqrt(widths[0]))
        self.projection = ClassProjection(widths[0], classes) if classes else None

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (N, channels, H, W) in [-1, 1], and labels (N,) if there are classes, to (N,)."""
        maps = self.layers(images)
        features = conv2d(maps, self.basis, groups=len(self.basis)).flatten(1)
        logits: Tensor = self.out(features).flatten()
        if self.projection is not None:
            logits = logits + self.projection(features, labels)
        return logits
