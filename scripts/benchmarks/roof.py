"""How fast this machine computes at best, and how near to that a training step comes."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

_SECONDS = 0.5  # that each is repeated for
_SIDE = 2048  # of the matrices


class Roof(NamedTuple):
    """The highest rates, in GFLOP/s, a multiplication and an addition counted as two.

    `matrix` of a square product, `convolution` of any of a model's convolutions with its backward
    pass, each in the precision that is trained in.
    """

    matrix: float
    convolution: float

    @property
    def best(self) -> float:
        """The higher of both."""
        return max(self)


def measure_roof(networks: list[nn.Module], inputs: list[torch.Tensor], bf16: bool) -> Roof:
    """Of this machine, for the convolutions of these networks.

    Args:
        networks: whose convolutions are measured, with all of their inputs' sizes.
        inputs: of each network.
        bf16: whether in bfloat16; otherwise in float32.
    """
    dtype = torch.bfloat16 if bf16 else torch.float32
    a, b = (torch.randn(_SIDE, _SIDE).to(dtype) for _ in range(2))
    matrix = rate(lambda: a @ b, 2.0 * _SIDE**3)
    rates = []
    for network, example in zip(networks, inputs, strict=True):
        for layer, seen in convolutions(network, example):
            rates.append(_convolution_rate(layer, seen, dtype))
    return Roof(matrix, max(rates))


def convolutions(network: nn.Module, example: torch.Tensor) -> list[tuple[nn.Module, torch.Tensor]]:
    """Every convolution of a network, with what it is given for an example."""
    found: list[tuple[nn.Module, torch.Tensor]] = []
    hooks = [
        layer.register_forward_pre_hook(lambda m, given: found.append((m, given[0].detach())))
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and max(layer.stride) > 1
    ]
    with torch.no_grad():
        network(example)
    for hook in hooks:
        hook.remove()
    return found


def rate(work: Callable[[], Any], flops: float) -> float:
    """The best GFLOP/s of some work that is repeated."""
    work()
    best, end = float("inf"), time.perf_counter() + _SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return flops / best / 1e9


def flops_of(step: Callable[[], object]) -> int:
    """Of one training step: its convolutions and matrix products, forward and backward."""
    counter = FlopCounterMode(display=False)
    with counter:
        step()
    return int(counter.get_total_flops())


def _convolution_rate(layer: nn.Module, given: torch.Tensor, dtype: torch.dtype) -> float:
    layer = type(layer)(
        layer.in_channels,  # type: ignore[arg-type]
        layer.out_channels,  # type: ignore[arg-type]
        layer.kernel_size,  # type: ignore[arg-type]
        layer.stride,  # type: ignore[arg-type]
        layer.padding,  # type: ignore[arg-type]
        bias=False,
    ).to(dtype=dtype, memory_format=torch.channels_last)
    x = given.to(dtype=dtype, memory_format=torch.channels_last).requires_grad_()
    slope = torch.randn_like(layer(x))

    def forward_and_backward() -> None:
        x.grad = layer.weight.grad = None
        layer(x).backward(slope)

    return rate(forward_and_backward, flops_of(forward_and_backward))
