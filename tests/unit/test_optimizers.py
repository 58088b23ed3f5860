"""Settings that follow schedules, and clipped gradients."""

import copy
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam

from trompe.engine.clock import Clock
from trompe.engine.optimizers import make_optimizer
from trompe.engine.schedules import Cosine, Linear
from trompe.errors import UserError, show


def clock() -> Clock:
    return Clock(kimg=1, tick_kimg=0.1, batch_size=100)


def weights() -> list[nn.Parameter]:
    return [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.ones(3))]


def with_gradients(parameters: list[nn.Parameter], *gradients: Tensor) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()


def test_settings_follow_schedules_at_every_step() -> None:
    time, parameters = clock(), weights()
    optimizer = make_optimizer(
        partial(Adam, lr=1.0, betas=[Linear(0, 1, 0, 2), 0.999]),
        parameters,
        time,
        lr=Linear(2, 0, 0, 1),
    )
    (group,) = optimizer.param_groups
    assert (group["lr"], *group["betas"]) == (2, 0, 0.999)
    for step in range(10):
        with_gradients(parameters, torch.ones(2), torch.ones(3))
        optimizer.step()
        assert group["lr"] == pytest.approx(2 * (1 - step / 10))
        assert group["betas"] == [pytest.approx(step / 20), 0.999]
        time.advance()
    assert time.kimg == 1
    before = parameters[0].detach().clone()
    with_gradients(parameters, torch.ones(2), torch.ones(3))
    optimizer.step()
    assert torch.equal(parameters[0], before) and group["lr"] == 0


def test_a_step_is_taken_with_the_learning_rate_of_its_moment() -> None:
    time, parameters = clock(), weights()
    rate = Cosine(1, 0, 0, 1)
    optimizer = make_optimizer(SGD, parameters, time, lr=rate)
    expected = torch.zeros(2)
    for _ in range(10):
        with_gradients(parameters, torch.tensor([1.0, -2.0]), torch.zeros(3))
        optimizer.step()
        expected -= rate.at(time.kimg) * torch.tensor([1.0, -2.0])
        time.advance()
    torch.testing.assert_close(parameters[0].detach(), expected)


def test_more_steps_in_a_batch_are_smaller_ones() -> None:
    # StyleGAN2, appendix B: c = 16 / 17 for one more step in 16 batches.
    time, steps, c = clock(), 1 + 1 / 16, 16 / 17
    optimizer = make_optimizer(
        partial(Adam, betas=(0.0, 0.99)), weights(), time, lr=2.0, steps_per_batch=steps
    )
    group = optimizer.param_groups[0]
    assert group["lr"] == pytest.approx(2 * c)
    assert group["betas"] == [0, pytest.approx(0.99**c)]
    optimizer = make_optimizer(
        partial(Adam, betas=[0.5, Linear(0.9, 0.8, 0, 1)]),
        weights(),
        time,
        lr=Linear(1, 0, 0, 1),
        steps_per_batch=steps,
    )
    for images in (0, 500):
        time.images = images
        optimizer.step()
        group = optimizer.param_groups[0]
        assert group["lr"] == pytest.approx(c * (1 - images / 1000))
        assert group["betas"] == [pytest.approx(0.5**c), pytest.approx((0.9 - images / 1e4) ** c)]


def test_without_schedules_nothing_is_touched() -> None:
    optimizer = make_optimizer(partial(SGD, lr=0.1, momentum=0.9), weights(), clock(), lr=0.2)
    assert not optimizer._optimizer_step_pre_hooks
    group = optimizer.param_groups[0]
    assert (group["lr"], group["momentum"]) == (0.2, 0.9)
    group["lr"] = 0.5
    # A schedule of one setting leaves the others too.
    optimizer = make_optimizer(SGD, weights(), clock(), lr=Linear(1, 0, 0, 1), momentum=0.9)
    group = optimizer.param_groups[0]
    group["momentum"] = 0.7
    optimizer.step()
    assert (group["lr"], group["momentum"]) == (1, 0.7)


@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_clipping_is_that_of_torch(limit: float) -> None:
    ours, theirs = weights(), weights()
    gradients = torch.tensor([3.0, -1.0]), torch.tensor([2.0, 0.5, -4.0])
    optimizer = make_optimizer(SGD, ours, clock(), limit, lr=1.0)
    with_gradients(ours, *gradients)
    with_gradients(theirs, *gradients)
    total = nn.utils.clip_grad_norm_(theirs, limit)
    optimizer.step()
    for mine, other, before in zip(ours, theirs, weights(), strict=True):
        assert other.grad is not None
        torch.testing.assert_close(mine.detach(), before.detach() - other.grad)
    length = torch.cat([mine.grad for mine in ours]).norm().item()  # type: ignore[misc]
    assert length == pytest.approx(min(limit, total.item()), rel=1e-5)


def test_all_groups_are_clipped_together() -> None:
    parameters = weights()
    groups = [{"params": [parameters[0]]}, {"params": [parameters[1]], "lr": 0.5}]
    optimizer = make_optimizer(SGD, groups, clock(), 1.0, lr=1.0)  # type: ignore[arg-type]
    with_gradients(parameters, torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0, 0.0]))
    optimizer.step()
    torch.testing.assert_close(parameters[0].detach(), torch.tensor([-0.6, 0.0]))
    torch.testing.assert_close(parameters[1].detach(), torch.tensor([1.0, 1 - 0.4, 1.0]))


@pytest.mark.parametrize("limit", [0, -1, "much", True])
def test_a_limit_that_is_none_is_one_line(limit: object) -> None:
    with pytest.raises(
        UserError, match=rf"^model.gradient_clip_norm={show(limit)} must be a number"
    ):
        make_optimizer(SGD, weights(), clock(), limit, lr=1.0)  # type: ignore[arg-type]


def test_state_goes_on_with_the_settings_of_the_moment() -> None:
    def train(optimizer: torch.optim.Optimizer, time: Clock, own: list[nn.Parameter]) -> None:
        for _ in range(4):
            with_gradients(own, torch.full((2,), 1 + time.kimg), torch.full((3,), -time.kimg))
            optimizer.step()
            time.advance()

    def made(own: list[nn.Parameter], time: Clock) -> torch.optim.Optimizer:
        rate = Cosine(0.1, 0.01, 0.2, 0.8)
        return make_optimizer(partial(Adam, betas=[0.5, 0.9]), own, time, 1.0, lr=rate)

    whole, time = weights(), clock()
    optimizer = made(whole, time)
    train(optimizer, time, whole)
    saved = [*whole], optimizer.state_dict(), time.state_dict()
    state = copy.deepcopy(saved)
    train(optimizer, time, whole)

    resumed, later = [nn.Parameter(p) for p in state[0]], clock()
    again = made(resumed, later)
    again.load_state_dict(state[1])
    later.load_state_dict(state[2])
    train(again, later, resumed)
    for a, b in zip(whole, resumed, strict=True):
        assert torch.equal(a, b)
