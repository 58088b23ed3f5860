"""Lazy penalties have steps of their own, by hand-written reference."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from trompe.data.image_data import Batch
from trompe.engine.clock import Clock
from trompe.images import to_signed
from trompe.losses.diffaugment import Augment
from trompe.losses.penalties import load_penalty
from trompe.losses.weighted_penalties import Penalties
from trompe.methods.gan import GAN


class Critic(nn.Module):
    """A logit quadratic in the image, so that R1's gradient depends on the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, 12))
        self.bias = nn.Parameter(torch.tensor(0.1))

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1).square() @ self.weight + self.bias


class Maker(nn.Module):
    latent_dim = 2

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(2, 12)

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(self.dense(z)).view(-1, 3, 2, 2)


def make_gan(**changes: object) -> GAN:
    torch.manual_seed(0)
    settings: dict[str, object] = {
        "loss": "non_saturating",
        "optimizer": partial(torch.optim.Adam, betas=(0.5, 0.9)),
        "generator_lr": 0.01,
        "discriminator_lr": 0.02,
        "ema_half_life_kimg": 1,
        "ema_rampup": 0,
        "augment": Augment(),
        "discriminator_steps": 1,
        "penalties": {"r1": 3, "r2": 2},
        "penalty_every": {"r1": 4},
        "generator_penalties": {"mode_seeking": 0.5},
    }
    gan = GAN(
        Maker(),
        Critic(),
        **{**settings, **changes},
        clock=Clock(1, 0.1, 4),
        seed=0,  # type: ignore[arg-type]
    )
    optimizers = gan.configure_optimizers()
    gan.optimizers = lambda: optimizers  # type: ignore[method-assign, assignment]
    gan.manual_backward = lambda loss: loss.backward()  # type: ignore[method-assign, misc]
    return gan


def batches(count: int) -> list[Batch]:
    generator = torch.Generator().manual_seed(1)
    shape = (4, 3, 2, 2)
    return [
        Batch(torch.randint(256, shape, generator=generator).to(torch.uint8), torch.zeros(4))
        for _ in range(count)
    ]


def test_a_phase_names_the_steps_for_lazy_penalties() -> None:
    gan = make_gan(penalty_every={"r1": 2, "mode_seeking": 3})
    phases = []
    for batch in batches(7):
        phases.append(gan.phase())
        gan.training_step(batch, 0)
    both, lazy_d, lazy_g = "d+r2+d/r1+g", "d+r2+d/r1+g+g/mode_seeking", "d+r2+g+g/mode_seeking"
    assert phases == [lazy_d, "d+r2+g", both, lazy_g, both, "d+r2+g", lazy_d]
    rare = Penalties(load_penalty, {"r1": 1, "r2": 1}, {"r1": 4, "r2": 2})
    assert rare.steps_per_turn == 1 + 1 / 4 + 1 / 2
    assert rare.steps("d", 0) == ["d", "d/r1", "d/r2"] and rare.steps("d", 2) == ["d", "d/r2"]


def test_the_steps_are_those_of_the_paper() -> None:
    """StyleGAN2, appendix B: main loss, then the penalty times its interval, by one Adam."""
    gan, reference = make_gan(penalties={"r1": 3}, generator_penalties={}), make_gan()
    c = 4 / 5
    adam = torch.optim.Adam(
        reference.discriminator.parameters(), lr=0.02 * c, betas=(0.5**c, 0.9**c)
    )
    other = torch.optim.Adam(reference.generator.parameters(), lr=0.01, betas=(0.5, 0.9))
    critic, maker = reference.discriminator, reference.generator
    for number, batch in enumerate(batches(6)):
        real = to_signed(batch.images)
        latents = gan.draws("").normal("latents", 2)
        gan.training_step(batch, 0)
        fake = maker(latents)
        adam.zero_grad()
        (softplus(-critic(real)).mean() + softplus(critic(fake.detach())).mean()).backward()
        adam.step()
        if number % 4 == 0:
            at = real.clone().requires_grad_()
            (slope,) = torch.autograd.grad(critic(at).sum(), at, create_graph=True)
            adam.zero_grad()
            (3 * 4 * slope.square().sum((1, 2, 3)).mean() / 2).backward()
            adam.step()
        other.zero_grad()
        softplus(-critic(fake)).mean().backward()
        other.step()
    for mine, theirs in zip(gan.parameters(), reference.parameters(), strict=True):
        if mine.requires_grad:
            torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("every", [1, 2])
def test_a_generator_penalty_gets_images_of_the_weights_of_its_step(every: int) -> None:
    seen = []

    def penalty(generator: Maker, latents: Tensor, fake: Tensor, uniform: Tensor) -> Tensor:
        seen.append((fake.detach(), generator(latents).detach()))
        return fake.square().mean()

    gan = make_gan(
        generator_penalties={"mine": {"weight": 1.0, "penalty": penalty}},
        penalty_every={"mine": every},
    )
    for batch in batches(2):
        gan.training_step(batch, 0)
    assert len(seen) == 2 // every
    for fake, now in seen:
        assert torch.equal(fake, now)
