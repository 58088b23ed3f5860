"""What methods with a generator and a discriminator share."""

import copy
from collections.abc import Callable

import torch
from torch import nn
from torch.optim import Optimizer

from trompe.engine.clock import Clock
from trompe.engine.ema import ema_decay, update_ema
from trompe.losses.adversarial import load_pair
from trompe.methods.method import Method


class Adversarial(Method):
    """A generator, its average, and a discriminator, each with an optimizer of its own.

    Args:
        generator: makes images.
        discriminator: images to logits.
        loss: name of a pair of functions in `trompe.losses.adversarial`, or a dotted path.
        optimizer: makes an optimizer from parameters and `lr`.
        generator_lr: learning rate of the generator.
        discriminator_lr: learning rate of the discriminator.
        ema_half_life_kimg: half-life of the averaged generator, thousands of images.
        ema_rampup: the half-life is at most this fraction of the images seen.
        clock: the image clock.
        seed: the experiment's seed.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        loss: str,
        optimizer: Callable[..., Optimizer],
        generator_lr: float,
        discriminator_lr: float,
        ema_half_life_kimg: float,
        ema_rampup: float,
        *,
        clock: Clock,
        seed: int,
    ) -> None:
        super().__init__(clock, seed)
        self.generator = generator
        self.discriminator = discriminator
        self.generator_ema = copy.deepcopy(generator).requires_grad_(False)
        self.loss = load_pair(loss)
        self.make_optimizer = optimizer
        self.generator_lr = generator_lr
        self.discriminator_lr = discriminator_lr
        self.ema_half_life_kimg = ema_half_life_kimg
        self.ema_rampup = ema_rampup
        self.to(memory_format=torch.channels_last)

    def configure_optimizers(self) -> list[Optimizer]:
        """Generator's first, discriminator's second; D is updated first within a step."""
        return [
            self.make_optimizer(self.generator.parameters(), lr=self.generator_lr),
            self.make_optimizer(self.discriminator.parameters(), lr=self.discriminator_lr),
        ]

    def average_generator(self, batches: int = 1) -> None:
        """Take the generator into its average, after a step for so many global batches."""
        images = self.clock.images + self.clock.batch_size
        step_images = self.clock.batch_size * batches
        decay = ema_decay(step_images, self.ema_half_life_kimg, images, self.ema_rampup)
        update_ema(self.generator_ema, self.generator, decay)
