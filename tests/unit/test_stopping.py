"""When to stop: the variance of the outputs, and what it leads to."""

import copy

import pytest
import torch
from torch import Tensor

from trompe.errors import UserError
from trompe.methods.stopping import ExponentialVariance, Stopping, WindowedVariance

SHAPE = (1, 3, 4, 5)


def outputs(count: int) -> Tensor:
    """Settling until two thirds of the way, then moving off; rounded as they are kept."""
    random = torch.randn((count, *SHAPE[1:]), generator=torch.Generator().manual_seed(0))
    place = torch.arange(count)[:, None, None, None] / count
    return (0.5 + random * 0.1 * (place - 0.66).abs()).clamp(0, 1).half().float()


def test_windowed_variance_is_the_plain_one() -> None:
    series, window = outputs(40), 7
    stopping = WindowedVariance(SHAPE, None, window)
    for number, output in enumerate(series):
        found = stopping.watch(output[None], output[None], number)
        if number + 1 < window:
            assert found.isinf()
            continue
        last = series[number + 1 - window : number + 1].double()
        plain = (last - last.mean(0)).square().mean()
        torch.testing.assert_close(found, plain, rtol=1e-9, atol=1e-15)


def test_exponential_variance_is_that_of_the_paper() -> None:
    series, weight = outputs(80).double(), 0.1
    stopping = ExponentialVariance(SHAPE, None, weight)
    mean, variance = series[0].clone(), torch.zeros(())
    for number, output in enumerate(series):
        apart = (output - mean).square().mean()
        variance = (1 - weight) * (variance + weight * apart)
        mean = (1 - weight) * mean + weight * output
        found = stopping.watch(output.float()[None], output.float()[None], number)
        if number >= stopping.earliest:
            torch.testing.assert_close(found, variance.double(), rtol=1e-4, atol=1e-9)
        else:
            assert found.isinf()


@pytest.mark.parametrize("kind", ["window", "weight"])
def test_it_settles_where_the_outputs_do_and_resumes_in_between(kind: str) -> None:
    def make(patience: int | None) -> Stopping:
        if kind == "window":
            return WindowedVariance(SHAPE, patience, 10)
        return ExponentialVariance(SHAPE, patience, 0.3)

    series = outputs(300)
    stopping, endless = make(40), make(None)
    for number, output in enumerate(series):
        image = torch.full(SHAPE, float(number))
        endless.watch(output[None], image, number)
        if not stopping.is_settled:
            stopping.watch(output[None], image, number)
        if number == 100:  # as a run that is killed and resumed
            state = copy.deepcopy(stopping.state_dict())
            stopping = make(40)
            stopping.load_state_dict(state)
    assert stopping.is_settled and not endless.is_settled
    assert int(stopping.seen) == int(stopping.at) + 40 < 300 == int(endless.seen)
    assert int(stopping.at) == int(endless.at) and 170 < int(stopping.at) < 230
    assert torch.equal(stopping.image, torch.full(SHAPE, float(stopping.at) - 1))


def test_wrong_values_are_one_line() -> None:
    with pytest.raises(UserError, match=r"stopping\.window=1 "):
        WindowedVariance(SHAPE, None, 1)
    with pytest.raises(UserError, match=r"stopping\.weight=1 must be between"):
        ExponentialVariance(SHAPE, None, 1)
    with pytest.raises(UserError, match=r"stopping\.patience=0 "):
        WindowedVariance(SHAPE, 0, 3)
