"""Penalties on the generator: pure functions with one signature, without weights.

Each takes (generator, latents, fake, uniform): latents (N, ...), what the generator makes of them,
images (N, C, H, W) in [-1, 1], and `uniform` (N,) in [0, 1).
"""

from collections.abc import Callable

from torch import Tensor

from trompe.lookup import find_function

Generator = Callable[[Tensor], Tensor]
Penalty = Callable[[Generator, Tensor, Tensor, Tensor], Tensor]


def mode_seeking(generator: Generator, latents: Tensor, fake: Tensor, uniform: Tensor) -> Tensor:
    """E[|z1 - z2| / |G(z1) - G(z2)|] over neighbors in the batch, in means of absolute values.

    Large where different latents give similar images (Mao et al. 2019, https://arxiv.org/abs/1903.05628,
    eq. 2, inverted as in the authors' code). An image without a neighbor is left out.
    """
    even = len(latents) // 2 * 2
    images, z = fake[:even].float().flatten(1), latents[:even].float().flatten(1)
    apart = (images[::2] - images[1::2]).abs().mean(1)
    latents_apart = (z[::2] - z[1::2]).abs().mean(1)
    return (latents_apart / (apart + 1e-5)).mean()


def load_penalty(name: str) -> Penalty:
    """The penalty of that name, of this module or of a dotted path.

    Raises:
        UserError: if there is none, listing those that exist.
    """
    return find_function(__name__, "", name, "model.generator_penalties")
