"""What methods with a generator and a discriminator share."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from trompe.engine.ema import Averaged
from trompe.engine.schedules import Number
from trompe.losses.adversarial import load_pair, load_unpaired
from trompe.methods.method import Method


class Adversarial(Method):
    """A generator, its average, and a discriminator, each with an optimizer of its own.

    Args:
        generator: makes images.
        discriminator: images to logits.
        loss: name of a pair of functions in `trompe.losses.adversarial`, or a dotted path.
        optimizer: makes an optimizer from parameters and `lr`.
        generator_lr: learning rate of the generator; a number or a schedule.
        discriminator_lr: learning rate of the discriminator; likewise.
        ema_half_life_kimg: half-life of the averaged generator, thousands of images; likewise.
        ema_rampup: the half-life is at most this fraction of the images seen.
        common: see `Method`.

    Attributes:
        compares_pairs: whether losses may compare each image with a real one.

    Raises:
        UserError: if the loss does, and they may not.
    """

    compares_pairs: bool = False

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        loss: str,
        optimizer: Callable[..., Optimizer],
        generator_lr: Number,
        discriminator_lr: Number,
        ema_half_life_kimg: Number,
        ema_rampup: float,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.generator = generator
        self.discriminator = discriminator
        self.generator_ema = Averaged(generator, ema_half_life_kimg, ema_rampup)
        self.loss = load_pair(loss) if self.compares_pairs else load_unpaired(loss)
        self.optimizer = optimizer
        self.generator_lr = generator_lr
        self.discriminator_lr = discriminator_lr
        self.to(memory_format=torch.channels_last)

    def configure_optimizers(self) -> list[Optimizer]:
        """Generator's first, discriminator's second; D is updated first within a step."""
        generator, discriminator = self.generator.parameters(), self.discriminator.parameters()
        return [
            self.make_optimizer(
                self.optimizer,
                generator,
                lr=self.generator_lr,
                steps_per_batch=self.steps_per_turn("g"),
            ),
            self.make_optimizer(
                self.optimizer,
                discriminator,
                lr=self.discriminator_lr,
                steps_per_batch=self.steps_per_turn("d"),
            ),
        ]

    def steps_per_turn(self, name: str) -> float:
        """The mean number of steps that a network's optimizer takes when it is its turn."""
        return 1.0
