"""The roof of the machine, and the arithmetic of a step, as the benchmark counts them."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from benchmarks import roof
from benchmarks.classic import ClassicLoop, classic_networks
from benchmarks.roof import convolutions, flops_of, rate


def test_the_arithmetic_of_a_convolution_is_counted() -> None:
    layer = nn.Conv2d(3, 8, 4, 2, 1, bias=False)
    x = torch.randn(2, 3, 16, 16, requires_grad=True)
    forward = 2 * 2 * 8 * 8 * 8 * 3 * 16
    assert flops_of(lambda: layer(x)) == forward
    assert flops_of(lambda: layer(x).sum().backward()) == 3 * forward


def test_a_rate_is_work_over_time() -> None:
    a = torch.randn(64, 64)
    assert rate(lambda: a @ a, 2.0 * 64**3) > 0


def test_the_roof_is_the_best_of_products_and_convolutions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(roof, "_SECONDS", 0.01)
    monkeypatch.setattr(roof, "_SIDE", 64)
    network = nn.Sequential(nn.Conv2d(3, 4, 4, 2, 1), nn.ConvTranspose2d(4, 3, 4, 2, 1))
    for bf16 in (False, True):
        found = roof.measure_roof([network], [torch.randn(2, 3, 8, 8)], bf16)
        assert found.best == max(found.matrix, found.convolution) > 0
        assert found.convolution > 0


def test_the_classic_loop_is_the_published_network() -> None:
    generator, discriminator = classic_networks()
    assert sum(p.numel() for p in generator.parameters()) == 3_576_704
    assert sum(p.numel() for p in discriminator.parameters()) == 2_765_568
    found = convolutions(discriminator, torch.zeros(1, 3, 64, 64))
    assert [given.shape[2] for _, given in found] == [64, 32, 16, 8]


@pytest.mark.parametrize("detach", [False, True])
def test_the_classic_loop_trains(detach: bool) -> None:
    torch.manual_seed(0)
    loop = ClassicLoop(detach)
    before = [p.clone() for p in (*loop.generator.parameters(), *loop.discriminator.parameters())]
    losses = loop.step(torch.randint(256, (4, 3, 64, 64), dtype=torch.uint8))
    assert all(loss > 0 for loss in losses)
    after = (*loop.generator.parameters(), *loop.discriminator.parameters())
    assert not any(torch.equal(a, b) for a, b in zip(after, before, strict=True))
