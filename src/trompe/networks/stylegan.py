"""StyleGAN's generator: Karras et al. 2019, https://arxiv.org/abs/1812.04948.

In the form of StyleGAN2: Karras et al. 2020, https://arxiv.org/abs/1912.04958.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, instance_norm

from trompe.engine.randomness import current_draws, keyed_generator
from trompe.errors import Count, UserError
from trompe.networks.equalized import RELU_GAIN, EqualizedConv2d, EqualizedLinear, activate
from trompe.networks.init import check_power_of_two
from trompe.networks.noise import noise_like
from trompe.networks.resampling import Filter

_SMALLEST = 4  # pixels, of the learned constant


def widths(resolution: int, base: int, most: int) -> list[int]:
    """Feature maps at sides 4, 8, ..., resolution: `base` divided by the side, and at most `most`.

    Raises:
        UserError: if the resolution is not supported.
    """
    check_power_of_two(resolution)
    stages = int(math.log2(resolution // _SMALLEST)) + 1
    return [min(max(base // (_SMALLEST * 2**i), 1), most) for i in range(stages)]


class Mapping(nn.Module):
    """From latents z to styles w (StyleGAN, sec. 2).

    Args:
        latent_dim: length of z.
        style_dim: length of w.
        layers: dense ones.
        classes: of the labels; 0 for none.
        lr_multiplier: pace of these layers relative to the others.
    """

    def __init__(
        self, latent_dim: int, style_dim: int, layers: int, classes: int, lr_multiplier: float
    ) -> None:
        super().__init__()
        first = latent_dim
        self.embedding: nn.Module | None = None
        if classes:  # StyleGAN2-ADA's conditional mapping: both normalized, side by side
            self.embedding = nn.Embedding(classes, latent_dim)
            first *= 2
        sizes = [first] + [style_dim] * layers
        self.layers = nn.ModuleList(
            EqualizedLinear(i, o, gain=RELU_GAIN, lr_multiplier=lr_multiplier)
            for i, o in pairwise(sizes)
        )

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents (N, latent_dim), and labels (N,) if there are classes, to (N, style_dim)."""
        w = normalize(latents)
        if self.embedding is not None:
            w = torch.cat([w, normalize(self.embedding(labels))], 1)
        for layer in self.layers:
            w = activate(layer(w))
        return w


class ModulatedLayer(nn.Module):
    """A convolution modulated by a style, noise, bias, leaky ReLU (StyleGAN2, sec. 2.2, eq. 1-3).

    As two scalings, of what goes into the convolution and of what comes out of it: the same as
    weights of each image's own, in plain operations that can be differentiated twice.

    Args:
        inputs: maps that come in.
        outputs: maps that go out.
        style_dim: length of w.
        up: the filter by which the side is doubled; None keeps it.
    """

    def __init__(self, inputs: int, outputs: int, style_dim: int, up: Filter | None) -> None:
        super().__init__()
        self.style = EqualizedLinear(style_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = 1 / math.sqrt(9 * inputs)
        self.up = up

    def forward(self, features: Tensor, w: Tensor) -> Tensor:
        """Features (N, inputs, H, W) in styles w (N, style_dim)."""
        style = self.style(w)
        weight = self.weight * self.scale
        # eq. 3, of the float32 weights, whatever the precision of the convolution
        with torch.autocast(features.device.type, enabled=False):
            energy = style.square() @ weight.square().sum((2, 3)).T
        demodulation = torch.rsqrt(energy + 1e-8) * RELU_GAIN
        modulated = features * style.to(features.dtype)[:, :, None, None]
        made = convolve(modulated, weight, self.up)
        made = made * demodulation.to(made.dtype)[:, :, None, None]
        made += noise_like(made[:, :1]) * (self.noise_strength * RELU_GAIN).to(made.dtype)
        made += (self.bias * RELU_GAIN).to(made.dtype)[:, None, None]
        return activate(made)


class AdaINLayer(nn.Module):
    """The layer of 2019: convolution, noise, bias, leaky ReLU, instance norm, then the style.

    Adaptive instance normalization (StyleGAN, sec. 2, eq. 1; Huang and Belongie 2017). It is what
    makes droplets (StyleGAN2, sec. 2.1).

    Args:
        inputs: maps that come in.
        outputs: maps that go out.
        style_dim: length of w.
        up: the filter by which the side is doubled; None keeps it.
    """

    def __init__(self, inputs: int, outputs: int, style_dim: int, up: Filter | None) -> None:
        super().__init__()
        self.style = EqualizedLinear(style_dim, 2 * outputs)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.noise_strength = nn.Parameter(torch.zeros(outputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = RELU_GAIN / math.sqrt(9 * inputs)
        self.up = up

    def forward(self, features: Tensor, w: Tensor) -> Tensor:
        """Features (N, inputs, H, W) in styles w (N, style_dim)."""
        made = convolve(features, self.weight * self.scale, self.up)
        made = made + noise_like(made[:, :1]) * self.noise_strength.to(made.dtype)
        made += self.bias.to(made.dtype)[:, None, None]
        normalized = instance_norm(activate(made))
        scale, shift = self.style(w).to(normalized.dtype)[:, :, None, None].chunk(2, 1)
        return torch.addcmul(shift, normalized, 1 + scale)


class ToImage(nn.Module):
    """A modulated 1x1 convolution to the image's channels, not demodulated (StyleGAN2, Figure 7).

    Args:
        inputs: maps that come in.
        channels: of the image.
        style_dim: length of w.
    """

    def __init__(self, inputs: int, channels: int, style_dim: int) -> None:
        super().__init__()
        self.style = EqualizedLinear(style_dim, inputs, bias=1.0)
        self.convolution = EqualizedConv2d(inputs, channels, 1)

    def forward(self, features: Tensor, w: Tensor) -> Tensor:
        """Features (N, inputs, H, W) in styles w to (N, channels, H, W), float32."""
        style = self.style(w).to(features.dtype)
        made: Tensor = self.convolution(features * style[:, :, None, None])
        return made.float()


class StyleGANGenerator(nn.Module):
    """Styles from latents, and images from styles by layers that each take one.

    Args:
        resolution: side of the images, a power of two from 16 to 256.
        channels: of the images.
        latent_dim: length of z.
        style_dim: length of w.
        base: maps at a side are `base` divided by the side (the published `channel_base`).
        max_width: and at most that many.
        mapping_layers: dense layers from z to w.
        mapping_lr_multiplier: their pace relative to the others.
        mixing: probability that, in training, an image takes its finer layers' styles from another
            latent (StyleGAN, sec. 3.1).
        layer: makes a layer: `ModulatedLayer`, or `AdaINLayer` for the form of 2019.
        classes: of the labels; 0 for none.
        final: applied to the image, such as `nn.Tanh()`; None, as published, leaves it unbounded.

    Attributes:
        layers_of_styles: how many styles an image takes, from coarse to fine.

    Raises:
        UserError: if the resolution is not supported, or `mixing` is no probability.
    """

    def __init__(
        self,
        resolution: int,
        channels: Count = 3,
        latent_dim: Count = 512,
        style_dim: Count = 512,
        base: Count = 16384,
        max_width: Count = 512,
        mapping_layers: Count = 8,
        mapping_lr_multiplier: float = 0.01,
        mixing: float = 0.9,
        layer: Callable[[int, int, int, Filter | None], nn.Module] = ModulatedLayer,
        classes: int = 0,
        final: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= mixing <= 1:
            raise UserError(f"model.generator.mixing={mixing} must be between 0 and 1")
        self.latent_dim, self.mixing = latent_dim, mixing
        maps = widths(resolution, base, max_width)
        self.mapping = Mapping(
            latent_dim, style_dim, mapping_layers, classes, mapping_lr_multiplier
        )
        self.filter = Filter()
        self.constant = nn.Parameter(torch.randn(1, maps[0], _SMALLEST, _SMALLEST))
        self.first = layer(maps[0], maps[0], style_dim, None)
        pairs = list(pairwise(maps))
        self.ups = nn.ModuleList(layer(i, o, style_dim, self.filter) for i, o in pairs)
        self.sames = nn.ModuleList(layer(o, o, style_dim, None) for _, o in pairs)
        self.to_images = nn.ModuleList(ToImage(width, channels, style_dim) for width in maps)
        self.final = final
        self.layers_of_styles = 2 * len(maps)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents (N, latent_dim) to images (N, channels, resolution, resolution) near [-1, 1].

        In training, some of them mix the styles of two latents.
        """
        return self.synthesize(self.mix(self.styles(latents, labels), labels))

    def styles(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents (N, latent_dim) to styles (N, layers_of_styles, style_dim), all layers alike."""
        w: Tensor = self.mapping(latents, labels)
        return w[:, None].expand(-1, self.layers_of_styles, -1)

    def mix(self, styles: Tensor, labels: Tensor | None = None) -> Tensor:
        """Styles that are, in training, those of other latents from a random layer on."""
        draws = current_draws()
        if draws is None or not (self.training and self.mixing):
            return styles
        name = draws.next_layer()
        others = self.mapping(draws.normal(f"{name}/latents", self.latent_dim), labels)
        chance = draws.uniform(f"{name}/cut", 2)
        last = self.layers_of_styles
        cut = 1 + (chance[:, 1] * (last - 1)).long()
        cut = torch.where(chance[:, 0] < self.mixing, cut, last)
        finer = torch.arange(last, device=cut.device) >= cut[:, None]
        return torch.where(finer[:, :, None], others[:, None], styles)

    def synthesize(self, styles: Tensor) -> Tensor:
        """Styles (N, layers_of_styles, style_dim), coarse to fine, to images."""
        w = styles.unbind(1)
        features = self.constant.expand(len(styles), -1, -1, -1)
        features = self.first(features, w[0])
        image: Tensor = self.to_images[0](features, w[1])
        for i, (up, same) in enumerate(zip(self.ups, self.sames, strict=True)):
            features = same(up(features, w[2 * i + 1]), w[2 * i + 2])
            image = self.filter.up(image) + self.to_images[i + 1](features, w[2 * i + 3])
        return image if self.final is None else self.final(image)

    @torch.no_grad()
    def truncate(self, styles: Tensor, truncation: float, labels: Tensor | None = None) -> Tensor:
        """Styles drawn toward their mean: 1 leaves them, 0 is the mean (StyleGAN, appendix B).

        With labels, toward the mean of each image's class.
        """
        if truncation == 1:
            return styles
        mean = self._mean_style(labels)
        return mean + truncation * (styles - mean)

    def _mean_style(self, labels: Tensor | None, count: int = 4096) -> Tensor:
        """Of fixed latents, (1 or N, 1, style_dim): a function of the weights, not a state."""
        device = self.constant.device
        generator = keyed_generator(0, "mean style", device=device)
        z = torch.randn(count, self.latent_dim, generator=generator, device=device)
        if labels is None:
            mean: Tensor = self.mapping(z).mean(0)[None, None]
            return mean
        found, place = labels.unique(return_inverse=True)
        means = torch.stack([self.mapping(z, n.expand(count)).mean(0) for n in found])
        return means[place][:, None]


def convolve(features: Tensor, weight: Tensor, up: Filter | None) -> Tensor:
    """A 3x3 convolution; with a filter to twice the side, as StyleGAN2's published code does it."""
    if up is None:
        return conv2d(features, weight, padding=1)
    doubled = conv_transpose2d(features, weight.transpose(0, 1), stride=2)
    return up.blur(doubled, padding=1, gain=4.0)


def normalize(vectors: Tensor) -> Tensor:
    """Rows (N, D) of mean square 1 (StyleGAN, appendix C)."""
    return vectors * torch.rsqrt(vectors.float().square().mean(1, keepdim=True) + 1e-8)
