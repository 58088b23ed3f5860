"""Gradient penalties against discriminators whose gradients are known."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from trompe.errors import UserError
from trompe.losses import penalties
from trompe.losses.penalties import load_penalty, r1, r2, wgan_gp

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
