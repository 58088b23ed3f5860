"""Adversarial losses against their papers' formulas, written out in float64 numpy."""

import inspect
import math
import sys
import types
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from trompe.errors import UserError
from trompe.losses import adversarial
from trompe.losses.adversarial import load_pair

Array = np.ndarray
NAMES = ["hinge", "least_squares", "minimax", "non_saturating", "relativistic", "wasserstein"]
EVERY_PAIR = pytest.mark.parametrize("name", NAMES)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


# discriminator(real, fake), generator(real, fake)
REFERENCES: dict[str, tuple[Callable[[Array, Array], float], Callable[[Array, Array], float]]] = {
    "minimax": (
        lambda r, f: -np.mean(np.log(sigmoid(r))) - np.mean(np.log(1 - sigmoid(f))),
        lambda r, f: np.mean(np.log(1 - sigmoid(f))),
    ),
    "non_saturating": (
        lambda r, f: -np.mean(np.log(sigmoid(r))) - np.mean(np.log(1 - sigmoid(f))),
        lambda r, f: -np.mean(np.log(sigmoid(f))),
    ),
    "least_squares": (
        lambda r, f: np.mean((r - 1) ** 2) / 2 + np.mean(f**2) / 2,
        lambda r, f: np.mean((f - 1) ** 2) / 2,
    ),
    "hinge": (
        lambda r, f: -np.mean(np.minimum(0, r - 1)) - np.mean(np.minimum(0, -f - 1)),
        lambda r, f: -np.mean(f),
    ),
    "wasserstein": (lambda r, f: np.mean(f) - np.mean(r), lambda r, f: -np.mean(f)),
    "relativistic": (
        lambda r, f: -np.mean(np.log(sigmoid(r - f))),
        lambda r, f: -np.mean(np.log(sigmoid(f - r))),
    ),
}


def values(name: str, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    pair = load_pair(name)
    generator = pair.generator(real=real, fake=fake) if pair.pairs_real else pair.generator(fake)
    return pair.discriminator(real, fake), generator


def logits(seed: int, count: int = 64) -> Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed)) * 3


def test_the_module_holds_exactly_the_pairs_that_are_checked_here() -> None:
    functions = [n for n, _ in inspect.getmembers(adversarial, inspect.isfunction)]
    for prefix in ("discriminator_", "generator_"):
        assert [n.removeprefix(prefix) for n in functions if n.startswith(prefix)] == NAMES
    assert sorted(REFERENCES) == NAMES


@EVERY_PAIR
def test_losses_equal_their_formulas(name: str) -> None:
    real, fake = logits(0), logits(1)
    numbers = real.double().numpy(), fake.double().numpy()
    for value, reference in zip(values(name, real, fake), REFERENCES[name], strict=True):
        assert value.shape == ()
        assert float(value) == pytest.approx(reference(*numbers), rel=1e-5)


@EVERY_PAIR
def test_losses_are_finite_in_value_and_gradient_for_extreme_logits(name: str) -> None:
    for size in (-1e4, 1e4):
        real, fake = torch.full((4,), -size), torch.full((4,), size)
        for index in (0, 1):
            r, f = real.clone().requires_grad_(), fake.clone().requires_grad_()
            value = values(name, r, f)[index]
            value.backward()
            assert value.isfinite()
            assert all(x.grad.isfinite().all() for x in (r, f) if x.grad is not None)


@EVERY_PAIR
def test_losses_are_computed_in_float32_from_bfloat16_logits(name: str) -> None:
    real, fake = logits(2).bfloat16(), logits(3).bfloat16()
    for low, high in zip(
        values(name, real, fake), values(name, real.float(), fake.float()), strict=True
    ):
        assert low.dtype == torch.float32
        assert torch.equal(low, high)


@EVERY_PAIR
def test_discriminator_wants_real_above_fake_and_generator_the_reverse(name: str) -> None:
    real = torch.zeros(4, requires_grad=True)
    fake = torch.zeros(4, requires_grad=True)
    discriminator, generator = values(name, real, fake)
    for_real, for_fake = torch.autograd.grad(discriminator, (real, fake))
    if name != "least_squares":  # its fake target is 0, where these logits are
        assert (for_fake > 0).all()
    assert (for_real < 0).all()
    (for_fake,) = torch.autograd.grad(generator, fake)
    assert (for_fake < 0).all()


def test_only_the_non_saturating_generator_learns_from_a_sure_discriminator() -> None:
    slopes = {}
    for name in ("minimax", "non_saturating"):
        fake = torch.full((1,), -10.0, requires_grad=True)
        load_pair(name).generator(fake).backward()
        assert fake.grad is not None
        slopes[name] = -float(fake.grad)
    assert slopes["minimax"] == pytest.approx(float(sigmoid(np.array(-10.0))), rel=1e-3)
    assert slopes["non_saturating"] == pytest.approx(1, rel=1e-3)


def test_losses_of_an_undecided_discriminator() -> None:
    zero = torch.zeros(8)
    discriminator, generator = values("minimax", zero, zero)
    assert float(discriminator) == pytest.approx(2 * math.log(2))
    assert float(generator) == pytest.approx(-math.log(2))


def test_relativistic_pairs_each_real_with_its_fake() -> None:
    real, fake = torch.tensor([5.0, -5.0]), torch.tensor([5.0, -5.0])
    assert float(load_pair("relativistic").discriminator(real, fake)) == pytest.approx(math.log(2))
    assert float(load_pair("relativistic").discriminator(real, fake.flip(0))) > 4


# Finding a pair by name


@EVERY_PAIR
def test_only_the_relativistic_generator_sees_real_images(name: str) -> None:
    pair = load_pair(name)
    assert pair.discriminator is getattr(adversarial, f"discriminator_{name}")
    assert pair.generator is getattr(adversarial, f"generator_{name}")
    assert pair.pairs_real == (name == "relativistic")


@EVERY_PAIR
def test_zero_is_a_border_where_logits_count_themselves(name: str) -> None:
    assert load_pair(name).has_border == (name not in ("relativistic", "wasserstein"))


def test_a_dotted_path_names_a_pair_of_another_module(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("their_losses")
    source = (
        "def discriminator_mine(real, fake): return real.sum() - fake.sum()\n"
        "def generator_mine(fake, real): return fake.sum() * real.sum()\n"
        "def discriminator_half(real, fake): return real.sum()\n"
    )
    exec(source, module.__dict__)  # as an import would
    monkeypatch.setitem(sys.modules, "their_losses", module)
    pair = load_pair("their_losses.mine")
    assert float(pair.discriminator(torch.ones(3), torch.ones(2))) == 1
    assert pair.pairs_real
    assert float(pair.generator(real=torch.ones(3), fake=torch.ones(2))) == 6
    with pytest.raises(UserError, match="choose one of mine"):
        load_pair("their_losses.half")
    with pytest.raises(UserError, match="choose one of half, mine"):
        load_pair("their_losses.other")


def test_an_unknown_name_is_answered_with_those_that_exist() -> None:
    with pytest.raises(UserError) as caught:
        load_pair("hinges")
    assert str(caught.value) == (
        "model.loss=hinges is not known: choose one of hinge, least_squares, minimax, "
        "non_saturating, relativistic, wasserstein"
    )


@pytest.mark.parametrize("name", ["", "hinge.", "no_such_module.hinge", "trompe.losses.none"])
def test_other_unusable_names_are_one_line_too(name: str) -> None:
    with pytest.raises(UserError) as caught:
        load_pair(name)
    assert "\n" not in str(caught.value)
