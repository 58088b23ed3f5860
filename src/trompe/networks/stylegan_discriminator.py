"""StyleGAN2's residual discriminator: Karras et al. 2020, https://arxiv.org/abs/1912.04958."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from trompe.engine.randomness import current_draws
from trompe.errors import Count, UserError
from trompe.networks.class_projection import ClassProjection
from trompe.networks.equalized import RELU_GAIN, EqualizedConv2d, EqualizedLinear, activate
from trompe.networks.resampling import Filter
from trompe.networks.stylegan import widths

_HALF = math.sqrt(0.5)  # of each branch, so that their sum keeps the variance (sec. 4.1, Figure 7)


class ResidualBlock(nn.Module):
    """Two convolutions to half the side, beside a filtered shortcut (StyleGAN2, Figure 7).

    Args:
        inputs: maps that come in.
        outputs: maps that go out.
        low_pass: the filter before the side is halved.
    """

    def __init__(self, inputs: int, outputs: int, low_pass: Filter) -> None:
        super().__init__()
        self.same = EqualizedConv2d(inputs, inputs, 3, gain=RELU_GAIN)
        self.down = EqualizedConv2d(inputs, outputs, 3, gain=RELU_GAIN * _HALF)
        self.skip = EqualizedConv2d(inputs, outputs, 1, gain=_HALF, bias=False)
        self.filter = low_pass

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / 2, W / 2)."""
        shortcut = self.skip(self.filter.down(features))
        weight, bias = self.down.scaled()
        blurred = self.filter.blur(activate(self.same(features)), padding=2)
        result: Tensor = shortcut + activate(conv2d(blurred, weight, bias, stride=2))
        return result


class StyleGANDiscriminator(nn.Module):
    """Residual blocks to 4x4, the deviation within groups as one more map, two dense layers.

    Args:
        resolution: side of the images, a power of two from 16 to 256.
        channels: of the images.
        base: maps at a side are `base` divided by the side (the published `channel_base`).
        max_width: and at most that many.
        group: images whose deviation from each other is seen (ProGAN, sec. 3); 1 for none. They are
            neighbors in the global batch, so that the number of processes makes no difference.
        classes: of the labels; 0 for none.

    Raises:
        UserError: if the resolution is not supported.
    """

    def __init__(
        self,
        resolution: int,
        channels: Count = 3,
        base: Count = 16384,
        max_width: Count = 512,
        group: Count = 4,
        classes: int = 0,
    ) -> None:
        super().__init__()
        maps = widths(resolution, base, max_width)[::-1]
        self.group = group
        self.filter = Filter()
        self.from_image = EqualizedConv2d(channels, maps[0], 1, gain=RELU_GAIN)
        self.blocks = nn.Sequential(*(ResidualBlock(i, o, self.filter) for i, o in pairwise(maps)))
        last = maps[-1]
        self.last = EqualizedConv2d(last + (group > 1), last, 3, gain=RELU_GAIN)
        self.dense = EqualizedLinear(16 * last, last, gain=RELU_GAIN)
        self.out = EqualizedLinear(last, 1)
        self.projection = ClassProjection(last, classes) if classes else None

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (N, channels, H, W) in [-1, 1], and labels (N,) if there are classes, to (N,)."""
        features = self.blocks(activate(self.from_image(images)))
        if self.group > 1:
            deviation = group_deviation(features, self.group)
            features = torch.cat([features, deviation.to(features.dtype)], 1)
        features = activate(self.last(features)).flatten(1)
        features = activate(self.dense(features))
        logits: Tensor = self.out(features).flatten()
        if self.projection is not None:
            logits = logits + self.projection(features, labels)
        return logits


def group_deviation(features: Tensor, group: int) -> Tensor:
    """The mean deviation within groups of neighboring images, as a map (ProGAN, sec. 3).

    Args:
        features: (N, C, H, W).
        group: images in a group; where no method is trained, as many of them as N allows.

    Returns:
        (N, 1, H, W), the same number everywhere in the images of a group.

    Raises:
        UserError: if in training N cannot be divided by it.
    """
    count, _, height, width = features.shape
    if count % group:
        if current_draws() is not None:
            raise UserError(
                f"model.discriminator.group={group} must divide the {count} images that a process "
                "looks at together: change it, or batch_size"
            )
        group = math.gcd(count, group)
    groups = features.float().unflatten(0, (-1, group))
    deviation = (groups.var(1, correction=0) + 1e-8).sqrt().mean((1, 2, 3))
    per_image: Tensor = deviation.repeat_interleave(group)[:, None, None, None]
    return per_image.expand(-1, 1, height, width)
