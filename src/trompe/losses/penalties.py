"""Gradient penalties on the discriminator: pure functions with one signature, without weights.

Each takes (discriminator, real, fake, uniform): images (N, C, H, W) in [-1, 1], and `uniform` (N,)
in [0, 1). They compute in float32, whatever the training's precision: bfloat16 is too coarse for a
gradient's gradient.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from trompe.lookup import find_function

Discriminator = Callable[[Tensor], Tensor]
Penalty = Callable[[Discriminator, Tensor, Tensor, Tensor], Tensor]


def wgan_gp(discriminator: Discriminator, real: Tensor, fake: Tensor, uniform: Tensor) -> Tensor:
    """E[(||grad D(x^)|| - 1)^2] at points x^ between pairs (Gulrajani et al. 2017, eq. 3)."""
    mix = uniform.float()[:, None, None, None]
    between = mix * real.float() + (1 - mix) * fake.float()
    norms: Tensor = _gradients(discriminator, between).flatten(1).norm(dim=1)
    return (norms - 1).square().mean()


def r1(discriminator: Discriminator, real: Tensor, fake: Tensor, uniform: Tensor) -> Tensor:
    """E[||grad D(x)||^2] / 2 at real images (Mescheder et al. 2018, eq. 9)."""
    return 0.5 * _gradients(discriminator, real).square().sum(dim=(1, 2, 3)).mean()


def r2(discriminator: Discriminator, real: Tensor, fake: Tensor, uniform: Tensor) -> Tensor:
    """E[||grad D(G(z))||^2] / 2 at generated images (Mescheder et al. 2018, eq. 10)."""
    return 0.5 * _gradients(discriminator, fake).square().sum(dim=(1, 2, 3)).mean()


def load_penalty(name: str) -> Penalty:
    """The penalty of that name, of this module or of a dotted path.

    Raises:
        UserError: if there is none, listing those that exist.
    """
    return find_function(__name__, "", name, "model.penalties")


def _gradients(discriminator: Discriminator, images: Tensor) -> Tensor:
    """The gradient of D(x) with respect to x for every image, itself differentiable."""
    images = images.detach().float().requires_grad_(True)
    # The derivative too: autocast would round the backward pass's products as well.
    with torch.autocast(images.device.type, enabled=False):
        logits = discriminator(images)
        (gradients,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradients
