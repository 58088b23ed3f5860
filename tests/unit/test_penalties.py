"""Gradient penalties against discriminators whose gradients are known."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from trompe.engine.randomness import Draws
from trompe.engine.schedules import Linear, value_at
from trompe.engine.share import Share
from trompe.errors import UserError
from trompe.losses import penalties
from trompe.losses.generator_penalties import load_penalty as load_generator_penalty
from trompe.losses.generator_penalties import mode_seeking
from trompe.losses.penalties import load_penalty, r1, r2, wgan_gp
from trompe.losses.weighted_penalties import Penalties, check_every

Penalty = Callable[..., Tensor]
EVERY_PENALTY = pytest.mark.parametrize("penalty", [wgan_gp, r1, r2])


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


REAL, FAKE = numbers(5, 3, 4, 4, seed=1), numbers(5, 3, 4, 4, seed=2)
UNIFORM = torch.tensor([0.0, 0.2, 0.5, 0.9, 0.999])


def quadratic(images: Tensor) -> Tensor:
    """Its gradient is the image itself."""
    return images.square().sum(dim=(1, 2, 3)) / 2


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(16, 1), nn.Flatten(0)
    )


def test_penalties_of_a_linear_discriminator() -> None:
    weight = numbers(3, 4, 4, seed=3)

    def linear(images: Tensor) -> Tensor:
        return (images * weight).sum(dim=(1, 2, 3)) + 7

    norm = weight.square().sum().sqrt()
    torch.testing.assert_close(wgan_gp(linear, REAL, FAKE, UNIFORM), (norm - 1) ** 2)
    torch.testing.assert_close(r1(linear, REAL, FAKE, UNIFORM), norm**2 / 2)
    torch.testing.assert_close(r2(linear, REAL, FAKE, UNIFORM), norm**2 / 2)


def test_r1_is_taken_at_real_and_r2_at_generated_images() -> None:
    for penalty, where in ((r1, REAL), (r2, FAKE)):
        expected = sum(float(image.double().square().sum()) for image in where) / len(where) / 2
        assert penalty(quadratic, REAL, FAKE, UNIFORM).item() == pytest.approx(expected, rel=1e-5)


def test_gradient_penalty_is_taken_between_pairs() -> None:
    expected = 0.0
    for real, fake, mix in zip(REAL.double(), FAKE.double(), UNIFORM.double(), strict=True):
        norm = (mix * real + (1 - mix) * fake).square().sum().sqrt()
        expected += float((norm - 1) ** 2) / len(REAL)
    assert wgan_gp(quadratic, REAL, FAKE, UNIFORM).item() == pytest.approx(expected, rel=1e-5)


@EVERY_PENALTY
def test_gradients_reach_the_parameters_through_two_derivatives(penalty: Penalty) -> None:
    scale = torch.tensor(2.0, requires_grad=True)
    value = penalty(lambda images: scale * quadratic(images), REAL, FAKE, UNIFORM)
    value.backward()
    assert scale.grad is not None
    # By central differences in the scale.
    step = 1e-3
    above, below = (
        penalty(lambda images, s=s: s * quadratic(images), REAL, FAKE, UNIFORM).item()
        for s in (2 + step, 2 - step)
    )
    assert float(scale.grad) == pytest.approx((above - below) / (2 * step), rel=1e-2)


@EVERY_PENALTY
def test_every_weight_gets_a_gradient_and_the_images_get_none(penalty: Penalty) -> None:
    discriminator = network()
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    penalty(discriminator, real, fake, UNIFORM).backward()
    for name, parameter in discriminator.named_parameters():
        if name.endswith("weight"):
            assert parameter.grad is not None and parameter.grad.any(), name
    assert real.grad is None and fake.grad is None


@EVERY_PENALTY
def test_penalties_are_float32_under_autocast(penalty: Penalty) -> None:
    layers, logit_types = network(), set()

    def discriminator(images: Tensor) -> Tensor:
        logits = layers(images)
        logit_types.add(logits.dtype)
        return logits

    expected = penalty(discriminator, REAL, FAKE, UNIFORM)
    with torch.autocast("cpu", torch.bfloat16):
        value = penalty(discriminator, REAL, FAKE, UNIFORM)
    assert logit_types == {torch.float32}
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)
    low = penalty(discriminator, REAL.bfloat16(), FAKE.bfloat16(), UNIFORM)
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, expected, rtol=0.05, atol=1e-3)


def test_a_flat_discriminator_gives_no_nan() -> None:
    scale = torch.zeros((), requires_grad=True)
    wgan_gp(lambda images: scale * quadratic(images), REAL, FAKE, UNIFORM).backward()
    assert scale.grad is not None and scale.grad.isfinite()


def test_penalties_are_found_by_name_or_dotted_path() -> None:
    assert load_penalty("r1") is r1
    assert load_penalty(f"{penalties.__name__}.wgan_gp") is wgan_gp
    with pytest.raises(UserError, match=r"^model.penalties=r3 .*choose one of r1, r2, wgan_gp$"):
        load_penalty("r3")


def test_mode_seeking_by_hand() -> None:
    # Neighbors are 0 and 1, 2 and 3; the fifth image has none.
    latents = torch.tensor([[0.0, 0.0], [1.0, 3.0], [2.0, 2.0], [2.0, -2.0], [9.0, 9.0]])
    fake = torch.zeros(5, 1, 2, 2)
    fake[1] = 0.5
    fake[2, 0, 0, 0] = 1
    fake[4] = 7
    # Mean distances 2 and 2 of the latents, 0.5 and 0.25 of the images.
    expected = (2 / (0.5 + 1e-5) + 2 / (0.25 + 1e-5)) / 2
    value = mode_seeking(lambda z: fake, latents, fake, torch.rand(5))
    assert value.item() == pytest.approx(expected, rel=1e-6)
    # Large where unlike latents give like images.
    assert mode_seeking(lambda z: fake, latents[:2], torch.zeros(2, 1, 2, 2), UNIFORM) > 1e5
    fake.requires_grad_()
    mode_seeking(lambda z: fake, latents, fake, UNIFORM).backward()
    assert fake.grad is not None and fake.grad[1].abs().sum() > 0 and not fake.grad[4].any()


def test_generator_penalties_are_found_by_name() -> None:
    assert load_generator_penalty("mode_seeking") is mode_seeking
    with pytest.raises(UserError, match=r"model.generator_penalties=r1 is not known: .*mode_seeki"):
        load_generator_penalty("r1")


def weighted(penalties: Penalties, turn: int, kimg: float = 0) -> tuple[float, dict[str, float]]:
    """Their sum in that turn, and what is tracked."""
    tracked: dict[str, float] = {}
    total = penalties(
        penalties.due(turn),
        lambda weight: value_at(weight, kimg),
        lambda name, value: tracked.update({name: value.item()}),
        (quadratic, REAL, FAKE),
        Draws(0, 0, len(REAL), Share()),
    )
    return total.item(), tracked


def test_a_lazy_penalty_is_taken_now_and_then_and_weighs_as_much_more() -> None:
    at_real, at_fake = (f(quadratic, REAL, FAKE, UNIFORM).item() for f in (r1, r2))
    lazy = Penalties(load_penalty, {"r1": 3, "r2": 5, "wgan_gp": 0}, {"r1": 2, "wgan_gp": 7})
    assert [lazy.due(turn) for turn in range(4)] == [["r1", "r2"], ["r2"], ["r1", "r2"], ["r2"]]
    for turn in range(4):
        total, tracked = weighted(lazy, turn)
        if turn % 2:
            assert total == pytest.approx(5 * at_fake)
            assert tracked == {"penalty/r2": pytest.approx(at_fake)}
        else:
            assert total == pytest.approx(2 * 3 * at_real + 5 * at_fake)
            # Tracked without its weight.
            assert tracked["penalty/r1"] == pytest.approx(at_real)
    # Over many batches as much as one that is taken in each.
    plain = Penalties(load_penalty, {"r1": 3}, {"r1": 1})
    only = Penalties(load_penalty, {"r1": 3}, {"r1": 4})
    sums = [sum(weighted(p, turn)[0] for turn in range(8)) for p in (plain, only)]
    assert sums[0] == pytest.approx(sums[1])


def test_weights_of_penalties_follow_schedules_and_modules_keep_a_state() -> None:
    class Counted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, network: object, real: Tensor, fake: Tensor, uniform: Tensor) -> Tensor:
            self.calls += 1
            return real.new_tensor(0.5)

    entry = {"weight": Linear(0, 4, 0, 1), "penalty": Counted()}
    penalties = Penalties(load_penalty, {"my.counted": entry}, {})
    assert weighted(penalties, 0, kimg=0.5) == (1, {"penalty/my.counted": 0.5})
    assert weighted(penalties, 1, kimg=1)[0] == 2
    assert penalties.state_dict()["my_counted.calls"] == 2


def test_intervals_of_no_penalty_are_refused() -> None:
    families = {"r1": 0, "r2": 0}, {"mode_seeking": 0}
    check_every({"r1": 2, "mode_seeking": 3}, *families)
    message = r"^model.penalty_every.r9 is not a penalty: choose one of r1, r2, mode_seeking$"
    with pytest.raises(UserError, match=message):
        check_every({"r9": 2}, *families)
    with pytest.raises(UserError, match=r"^model.penalty_every.r1=0 must be a whole number of at"):
        Penalties(load_penalty, {"r1": 1}, {"r1": 0})
