"""Twice and half the side, through a low-pass filter (Zhang 2019; Karras et al. 2019, sec. 3).

One depthwise convolution each, differentiable twice.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d


class Filter(nn.Module):
    """A separable low-pass filter, of taps such as [1, 3, 3, 1], that sum to 1 in use.

    Args:
        taps: of one axis, three or four.
    """

    taps: Tensor

    def __init__(self, taps: Sequence[float] = (1, 3, 3, 1)) -> None:
        super().__init__()
        row = torch.tensor(taps, dtype=torch.float32)
        square = torch.outer(row, row) / row.sum().square()
        self.register_buffer("taps", square[None, None], persistent=False)
        self.side = len(taps)

    def up(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, 2 H, 2 W), the mean kept."""
        options = {"stride": 2, "padding": 1, "output_padding": 4 - self.side}
        return self._convolve(conv_transpose2d, features, 4.0, **options)

    def down(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H / 2, W / 2)."""
        return self._convolve(conv2d, features, 1.0, stride=2, padding=1)

    def blur(self, features: Tensor, padding: int, gain: float = 1.0) -> Tensor:
        """(N, C, H, W) to sides of H + 2 padding - taps + 1, times a gain; zeros around it."""
        return self._convolve(conv2d, features, gain, padding=padding)

    def _convolve(
        self, function: Callable[..., Tensor], features: Tensor, gain: float, **options: Any
    ) -> Tensor:
        channels = features.shape[1]
        kernel = (self.taps * gain).expand(channels, 1, self.side, self.side)
        if features.device.type != "cpu" or features.dtype != torch.bfloat16:
            return function(features, kernel.to(features.dtype), groups=channels, **options)
        # Depthwise convolutions with a stride are 20 times slower in bfloat16 on CPUs.
        with torch.autocast("cpu", enabled=False):
            filtered = function(features.float(), kernel, groups=channels, **options)
        return filtered.to(features.dtype)
