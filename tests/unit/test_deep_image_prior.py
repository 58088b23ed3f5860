"""Deep Image Prior's update: what it averages, meets, keeps and falls back to."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trompe.data.degradations import Degradation, Downsampling, Gaps
from trompe.data.one_picture import Observation
from trompe.engine.clock import Clock
from trompe.errors import UserError
from trompe.methods.deep_image_prior import DeepImagePrior
from trompe.methods.stopping import WindowedVariance
from trompe.networks.hourglass import Hourglass

HEIGHT, WIDTH = 12, 16


def make(network: nn.Module | None = None, **changes: Any) -> DeepImagePrior:
    settings: dict[str, Any] = {
        "network": network,
        "degradation": Degradation(),
        "stopping": partial(WindowedVariance, patience=None, window=3),
        "optimizer": partial(torch.optim.Adam, lr=0.01),
        "height": HEIGHT,
        "width": WIDTH,
        "channels": 3,
        "input": "noise",
        "perturbation": 0.03,
        "average": 0.9,
        "fall_back_every": 2,
        "fall_back": 5,
        "memory_gib": None,
        "clock": Clock(0.1, 0.01, 1),
        "seed": 0,
    }
    torch.manual_seed(0)
    if network is None:
        settings["network"] = Hourglass(2, 3, [4, 4], [2, 2])
    method = DeepImagePrior(**{**settings, **changes})
    optimizers = method.configure_optimizers()
    method.optimizers = lambda: optimizers  # type: ignore[method-assign, assignment]
    method.manual_backward = lambda loss: loss.backward()  # type: ignore[method-assign, assignment]
    return method


def observed(reference: Tensor, degradation: Degradation) -> Observation:
    degraded = degradation.degrade(reference, 0)
    return Observation(degraded, degradation.known(*degraded.shape[2:], 0), reference)


GOOD = torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(3))


def test_the_average_is_that_of_the_outputs_and_the_peak_the_best_of_them() -> None:
    method = make()
    outputs: list[Tensor] = []
    method.network.register_forward_hook(lambda *args: outputs.append(args[2].detach().clone()))
    for _ in range(7):
        method.training_step(observed(GOOD, Degradation()), 0)
    average, found = outputs[0], []
    for output in outputs:
        average = 0.9 * average + 0.1 * output if found else output
        found.append((float((average - GOOD).square().mean()), average))
    versions = method.versions()
    torch.testing.assert_close(versions["last"][1], average)
    best = min(range(7), key=lambda i: found[i][0])
    assert versions["peak"][0] == best + 1 and versions["last"][0] == 7
    torch.testing.assert_close(versions["peak"][1], found[best][1])


@pytest.mark.parametrize("degradation", [Gaps(share=0.5), Downsampling(2, "bicubic")])
def test_only_what_is_known_is_met(degradation: Degradation) -> None:
    method = make(degradation=degradation)
    batch = observed(GOOD, degradation)
    # What the gaps hold must not count.
    filled = batch._replace(degraded=torch.where(batch.known.bool(), batch.degraded, 0.7))
    other = make(degradation=degradation)
    for _ in range(3):
        method.training_step(batch, 0)
        other.training_step(filled, 0)
    for a, b in zip(method.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(a, b)
    record = method.means.read().means
    assert 0 < record["loss/misfit"] < 1 and record["psnr/average"] > 3


def test_nobody_knows_the_good_picture() -> None:
    method = make()
    batch = observed(GOOD, Degradation())._replace(reference=GOOD[:, :0])
    for _ in range(4):
        method.training_step(batch, 0)
    assert set(method.versions()) == {"last", "stopped"}
    assert not any(name.startswith("psnr") for name in method.means.read().means)


def test_it_falls_back_when_it_has_diverged() -> None:
    method = make(perturbation=0)
    batch = observed(0.1 * GOOD, Degradation())
    method.training_step(batch, 0)  # the first one is kept, after its step
    kept = [p.clone() for p in method.network.parameters()]
    method.training_step(batch, 0)
    with torch.no_grad():
        method.network.image.bias.fill_(8.0)  # type: ignore[union-attr, operator]
    method.training_step(batch, 0)
    assert int(method.falls) == 1
    assert all(map(torch.equal, kept, method.network.parameters()))
    method.training_step(batch, 0)
    assert not all(map(torch.equal, kept, method.network.parameters()))


def test_the_input_is_fixed_noise_or_places() -> None:
    noise, again = make().input, make().input
    assert torch.equal(noise, again) and not torch.equal(noise, make(seed=1).input)
    assert 0 <= float(noise.min()) < 0.01 < 0.09 < float(noise.max()) < 0.1
    grid = make(input="grid").input
    assert grid.shape == (1, 2, HEIGHT, WIDTH)
    assert grid[0, :, 0, 0].tolist() == [0, 0] and grid[0, :, -1, -1].tolist() == [1, 1]
    assert grid[0, :, 0, -1].tolist() == [0, 1]
    with pytest.raises(UserError, match="grid has two maps"):
        make(Hourglass(3, 3, [4], [0]), input="grid")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"height": 4}, "16 x 4 pixels, but this model.network needs at least 5"),
        ({"average": 1}, "average=1 must be below 1"),
        ({"memory_gib": 1e-6}, "restoring 16 x 12 pixels takes about"),
        ({"fall_back_every": 0}, "fall_back_every=0 must be"),
    ],
)
def test_mistakes_are_one_line(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        make(**changes)


def test_the_smallest_side_is_the_smallest() -> None:
    for settings in ({}, {"down_kernel": 5}, {"up_kernel": 5}):
        network = Hourglass(2, 1, [2, 2, 2], [0, 0, 0], **settings)  # type: ignore[arg-type]
        least = network.least_side
        assert network(torch.rand(1, 2, least, least)).shape == (1, 1, least, least)
        with pytest.raises((RuntimeError, ValueError)):
            network(torch.rand(1, 2, least - 1, least - 1))
