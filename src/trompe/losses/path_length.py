"""Path length regularization: Karras et al. 2020, StyleGAN2, https://arxiv.org/abs/1912.04958."""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from trompe.engine.randomness import current_draws, drawing
from trompe.errors import Count, UserError, check_count


class PathLength(nn.Module):
    """A generator penalty: E[(|J_w^T y| - a)^2], a the mean length so far (sec. 3.2, eq. 4).

    J_w is the derivative of the image with respect to the styles w, y a random image. Over the
    layers the squared lengths are averaged, as in the authors' code.

    Args:
        decay: share of the newest lengths in their mean.
        shrink: it is taken on one in so many images.

    Attributes:
        mean: a; the same on all processes, and kept by checkpoints.

    Raises:
        UserError: if an argument is invalid.
    """

    mean: Tensor

    def __init__(self, decay: float = 0.01, shrink: Count = 2) -> None:
        super().__init__()
        if not 0 < decay <= 1:
            raise UserError(f"path_length: decay={decay} must be above 0 and at most 1")
        check_count("path_length: shrink", shrink)
        self.decay = decay
        self.shrink = shrink
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, generator: Any, latents: Tensor, fake: Tensor, uniform: Tensor) -> Tensor:
        """The penalty of a generator with `styles` and `synthesize`, see `StyleGANGenerator`.

        Args:
            generator: the network, its `labels` bound if there are classes.
            latents: (N, latent_dim).
            fake: not used.
            uniform: not used.

        Raises:
            UserError: if `shrink` does not divide the images of this process, or the generator has
                no styles.
        """
        labels = None
        if isinstance(generator, partial):
            labels = generator.keywords["labels"][:: self.shrink]
            generator = generator.func
        if not hasattr(generator, "synthesize"):
            raise UserError("model.generator_penalties.path_length needs a generator with styles")
        draws = current_draws()
        assert draws is not None
        some = draws.every(self.shrink)
        with drawing(some), torch.autocast(latents.device.type, enabled=False):
            styles = generator.styles(latents[:: self.shrink], labels)
            images = generator.synthesize(styles)
            noise = some.normal("path length", *images.shape[1:])
            noise = noise / math.sqrt(images.shape[2] * images.shape[3])
            (slopes,) = torch.autograd.grad((images * noise).sum(), styles, create_graph=True)
        lengths = slopes.square().sum(2).mean(1).sqrt()
        now = some.share.mean(lengths.detach().mean())
        self.mean.lerp_(now, 1 - (1 - self.decay) ** (1 / some.share.parts))
        penalty: Tensor = (lengths - self.mean).square().mean()
        return penalty
