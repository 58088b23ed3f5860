"""Adversarial losses: pairs of pure functions on logits, to be minimized.

`real` and `fake` are the discriminator's logits (N,) on real and generated images, before any
sigmoid; D(x) = sigmoid(logit). Every function returns a scalar in float32.
"""

import inspect
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from trompe.errors import UserError
from trompe.lookup import find_function


def discriminator_minimax(real: Tensor, fake: Tensor) -> Tensor:
    """-E[log D(x)] - E[log(1 - D(G(z)))] (Goodfellow et al. 2014, eq. 1)."""
    return softplus(-real.float()).mean() + softplus(fake.float()).mean()


def generator_minimax(fake: Tensor) -> Tensor:
    """E[log(1 - D(G(z)))] (Goodfellow et al. 2014, eq. 1): saturates while D is confident."""
    return -softplus(fake.float()).mean()


def discriminator_non_saturating(real: Tensor, fake: Tensor) -> Tensor:
    """The minimax discriminator's loss (Goodfellow et al. 2014, eq. 1)."""
    return discriminator_minimax(real, fake)


def generator_non_saturating(fake: Tensor) -> Tensor:
    """-E[log D(G(z))] (Goodfellow et al. 2014, sec. 3)."""
    return softplus(-fake.float()).mean()


def discriminator_least_squares(real: Tensor, fake: Tensor) -> Tensor:
    """E[(D(x) - 1)^2] / 2 + E[D(G(z))^2] / 2 on raw outputs (Mao et al. 2017, eq. 9)."""
    return 0.5 * (real.float() - 1).square().mean() + 0.5 * fake.float().square().mean()


def generator_least_squares(fake: Tensor) -> Tensor:
    """E[(D(G(z)) - 1)^2] / 2 on raw outputs (Mao et al. 2017, eq. 9)."""
    return 0.5 * (fake.float() - 1).square().mean()


def discriminator_hinge(real: Tensor, fake: Tensor) -> Tensor:
    """E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))] (Miyato et al. 2018, eq. 16)."""
    return relu(1 - real.float()).mean() + relu(1 + fake.float()).mean()


def generator_hinge(fake: Tensor) -> Tensor:
    """-E[D(G(z))] (Miyato et al. 2018, eq. 17)."""
    return -fake.float().mean()


def discriminator_wasserstein(real: Tensor, fake: Tensor) -> Tensor:
    """E[D(G(z))] - E[D(x)] (Arjovsky et al. 2017, eq. 2); needs a penalty to stay Lipschitz."""
    return fake.float().mean() - real.float().mean()


def generator_wasserstein(fake: Tensor) -> Tensor:
    """-E[D(G(z))] (Arjovsky et al. 2017, eq. 2)."""
    return -fake.float().mean()


def discriminator_relativistic(real: Tensor, fake: Tensor) -> Tensor:
    """E[-log sigmoid(D(x) - D(G(z)))], x and z in pairs (Huang et al. 2024, R3GAN, eq. 2)."""
    return softplus(fake.float() - real.float()).mean()


def generator_relativistic(real: Tensor, fake: Tensor) -> Tensor:
    """E[-log sigmoid(D(G(z)) - D(x))], x and z in pairs (Huang et al. 2024, R3GAN, eq. 2)."""
    return softplus(real.float() - fake.float()).mean()


class AdversarialLoss(NamedTuple):
    """The two losses of one pair."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[..., Tensor]

    @property
    def pairs_real(self) -> bool:
        """Whether the generator's loss also takes the logits of real images, as `real`."""
        return "real" in inspect.signature(self.generator).parameters

    @property
    def has_border(self) -> bool:
        """Whether 0 separates real from fake: not if only differences of logits count."""
        here, there = torch.zeros(1), torch.full((1,), 3.0)
        return bool(self.discriminator(here, here) != self.discriminator(there, there))


def load_pair(name: str) -> AdversarialLoss:
    """The pair `discriminator_<name>`, `generator_<name>` of this module or of a dotted path.

    Raises:
        UserError: if there is none, listing those that exist.
    """
    return AdversarialLoss(
        find_function(__name__, "discriminator_", name, "model.loss"),
        find_function(__name__, "generator_", name, "model.loss"),
    )


def load_unpaired(name: str) -> AdversarialLoss:
    """The same for methods that have no real image for each of theirs.

    Raises:
        UserError: also if the pair compares images in pairs.
    """
    loss = load_pair(name)
    if loss.pairs_real:
        raise UserError(
            f"model.loss={name} compares images in pairs, but there are none here: choose another "
            "loss"
        )
    return loss
