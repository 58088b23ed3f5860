"""Layers with an equalized learning rate (Karras et al. 2018, ProGAN, sec. 4.1).

Weights are standard normal and scaled as they are used, by a constant that depends on the layer's
shape: then Adam moves all of them at the same relative pace.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu, linear

from trompe.errors import Count

# Keeps the variance through a leaky ReLU of slope 0.2 (StyleGAN2, published settings). A positive
# factor passes through it, so layers apply it to their weights, which are fewer than the pixels.
RELU_GAIN = math.sqrt(2)


def activate(features: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2, in place (StyleGAN, appendix C); its gain is in what is before."""
    return leaky_relu(features, 0.2, inplace=True)


class EqualizedLinear(nn.Module):
    """A dense layer, (N, inputs) to (N, outputs).

    Args:
        inputs: features that come in.
        outputs: features that go out.
        gain: factor of the output.
        bias: its initial value; None leaves it out.
        lr_multiplier: pace relative to other layers (StyleGAN, appendix C: 0.01 in the mapping).
    """

    def __init__(
        self,
        inputs: Count,
        outputs: Count,
        gain: float = 1.0,
        bias: float | None = 0.0,
        lr_multiplier: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_multiplier)
        self.bias = None
        if bias is not None:
            self.bias = nn.Parameter(torch.full((outputs,), bias / lr_multiplier))
        self.scale = gain * lr_multiplier / math.sqrt(inputs)
        self.bias_scale = gain * lr_multiplier

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs) to (N, outputs), in the weights' precision whatever the training's."""
        bias = None if self.bias is None else self.bias * self.bias_scale
        with torch.autocast(features.device.type, enabled=False):
            return linear(features.to(self.weight.dtype), self.weight * self.scale, bias)


class EqualizedConv2d(nn.Module):
    """A convolution that keeps the side, (N, inputs, H, W) to (N, outputs, H, W).

    Args:
        inputs: maps that come in.
        outputs: maps that go out.
        kernel: side of the kernel, odd.
        gain: factor of the output.
        bias: whether there is one, at first 0.
    """

    def __init__(
        self, inputs: Count, outputs: Count, kernel: int, gain: float = 1.0, bias: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale = gain / math.sqrt(inputs * kernel**2)
        self.gain = gain
        self.padding = kernel // 2

    def scaled(self) -> tuple[Tensor, Tensor | None]:
        """The weights and biases that are used."""
        bias = None if self.bias is None else self.bias * self.gain
        return self.weight * self.scale, bias

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        weight, bias = self.scaled()
        return conv2d(features, weight, bias, padding=self.padding)
