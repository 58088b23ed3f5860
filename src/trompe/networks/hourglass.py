"""The network of Deep Image Prior: Ulyanov et al. 2018, https://arxiv.org/abs/1711.10925."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from trompe.errors import Count, UserError, check_count

_SLOPE = 0.2  # of the leaky ReLU, supplement


class Convolution(nn.Sequential):
    """A convolution with mirrored edges, batch norm, leaky ReLU.

    Args:
        inputs: maps that come in.
        outputs: maps that go out.
        kernel: its side, odd.
        stride: of the convolution.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, padding_mode="reflect"),
            nn.BatchNorm2d(outputs),
            nn.LeakyReLU(_SLOPE),
        )


class Scale(nn.Module):
    """One scale: down, what is coarser, up, beside a narrow skip (supplement, Figure 1).

    Args:
        inputs: maps that come in.
        width: maps below, and those that go out.
        skip: maps that are led past it; 0 for none.
        coarser: the next scale; None at the coarsest.
        down_kernel: side of the convolutions on the way down.
        up_kernel: the same on the way up.
        upsampling: ``"bilinear"`` or ``"nearest"``.
        pointwise: whether a 1x1 convolution follows on the way up.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        skip: int,
        coarser: "Scale | None",
        down_kernel: int,
        up_kernel: int,
        upsampling: str,
        pointwise: bool,
    ) -> None:
        super().__init__()
        self.upsampling = upsampling
        self.outputs = width
        self.down = nn.Sequential(
            Convolution(inputs, width, down_kernel, 2), Convolution(width, width, down_kernel)
        )
        self.coarser = coarser
        below = width if coarser is None else coarser.outputs
        self.skip = Convolution(inputs, skip, 1) if skip else None
        self.norm = nn.BatchNorm2d(below + skip)
        up = [Convolution(below + skip, width, up_kernel)]
        self.up = nn.Sequential(*up, *([Convolution(width, width, 1)] if pointwise else []))

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, width, H, W), of any size."""
        below = self.down(features)
        if self.coarser is not None:
            below = self.coarser(below)
        below = interpolate(below, features.shape[2:], mode=self.upsampling)
        if self.skip is not None:
            below = torch.cat([self.skip(features), below], 1)
        made: Tensor = self.up(self.norm(below))
        return made


class Hourglass(nn.Module):
    """Scales down and up again with skips: an image from fixed noise, which it is fitted to.

    Args:
        inputs: maps of the noise.
        channels: of the image.
        widths: maps at each scale, from fine to coarse.
        skips: maps led past each scale, as many numbers; 0 for none.
        down_kernel: side of the convolutions on the way down, odd.
        up_kernel: the same on the way up.
        upsampling: ``"bilinear"`` or ``"nearest"``.
        pointwise: whether a 1x1 convolution follows each on the way up.

    Attributes:
        least_side: the smallest side of an image that it can make, pixels.

    Raises:
        UserError: if widths and skips do not belong together, or a kernel is even.
    """

    def __init__(
        self,
        inputs: Count,
        channels: Count,
        widths: Sequence[int],
        skips: Sequence[int],
        down_kernel: Count = 3,
        up_kernel: Count = 3,
        upsampling: Literal["bilinear", "nearest"] = "bilinear",
        pointwise: bool = True,
    ) -> None:
        super().__init__()
        if not widths or len(widths) != len(skips):
            raise UserError(
                f"model.network: widths={list(widths)} and skips={list(skips)} must have a number "
                "for each scale"
            )
        for name, numbers, least in (("widths", widths, 1), ("skips", skips, 0)):
            for number in numbers:
                check_count(f"model.network.{name}", number, least)
        for name, kernel in (("down_kernel", down_kernel), ("up_kernel", up_kernel)):
            if kernel % 2 == 0:
                raise UserError(f"model.network.{name}={kernel} must be odd")
        self.inputs = inputs
        # A mirrored edge needs one pixel more than its width, and batch norm two at the coarsest.
        least = max(2, down_kernel // 2 + 1)
        for _ in widths[1:]:
            least = max(2 * least - 1, up_kernel // 2 + 1)
        self.least_side = max(2 * least - 1, up_kernel // 2 + 1)
        scale: Scale | None = None
        before = [inputs, *widths[:-1]]
        for i in reversed(range(len(widths))):
            scale = Scale(
                before[i], widths[i], skips[i], scale, down_kernel, up_kernel, upsampling, pointwise
            )
        assert scale is not None
        self.scales = scale
        self.image = nn.Conv2d(widths[0], channels, 1)

    def forward(self, noise: Tensor) -> Tensor:
        """Noise (N, inputs, H, W) to images (N, channels, H, W) in [0, 1], float32."""
        made: Tensor = self.image(self.scales(noise)).float()
        return made.sigmoid()
