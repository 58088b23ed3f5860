"""Generative adversarial networks: one update for the whole family."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trompe.data.images import Batch
from trompe.engine.clock import Clock
from trompe.engine.ema import ema_decay, update_ema
from trompe.engine.randomness import keyed_generator
from trompe.errors import check_count
from trompe.images import to_uint8
from trompe.losses.adversarial import load_pair
from trompe.losses.diffaugment import DiffAugment
from trompe.losses.penalties import load_penalty
from trompe.methods.base import Method, frozen

_AT_ONCE = 64  # images of a sample grid that are made at once


class GAN(Method):
    """A generator G and a discriminator D trained against each other (Goodfellow et al. 2014).

    DCGAN, LSGAN, WGAN-GP, SNGAN, R3GAN and the rest are this class with other parts.

    Args:
        generator: latents (N, latent_dim) to images (N, C, H, W) in [-1, 1].
        discriminator: images to logits (N,).
        loss: name of a pair of functions in `trompe.losses.adversarial`, or a dotted path.
        penalties: weights of the penalties in `trompe.losses.penalties`; 0 leaves one out.
        augment: differentiable augmentation of everything the discriminator sees.
        optimizer: makes an optimiser from parameters and `lr`.
        generator_lr: learning rate of the generator.
        discriminator_lr: learning rate of the discriminator.
        discriminator_steps: discriminator steps per generator step.
        ema_half_life_kimg: half-life of the averaged generator, thousands of images.
        ema_rampup: the half-life is at most this fraction of the images seen.
        clock: the image clock.
        seed: the experiment's seed.
    """

    batch_type = Batch
    use = "trompe sample run={run}"

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        loss: str,
        penalties: Mapping[str, float],
        augment: DiffAugment,
        optimizer: Callable[..., Optimizer],
        generator_lr: float,
        discriminator_lr: float,
        discriminator_steps: int,
        ema_half_life_kimg: float,
        ema_rampup: float,
        *,
        clock: Clock,
        seed: int,
    ) -> None:
        super().__init__(clock, seed)
        check_count("model.discriminator_steps", discriminator_steps)
        self.generator = generator
        self.discriminator = discriminator
        self.generator_ema = copy.deepcopy(generator).requires_grad_(False)
        self.loss = load_pair(loss)
        self.penalties = {name: (load_penalty(name), w) for name, w in penalties.items() if w}
        self.augment = augment
        self.make_optimizer = optimizer
        self.generator_lr = generator_lr
        self.discriminator_lr = discriminator_lr
        self.discriminator_steps = discriminator_steps
        self.ema_half_life_kimg = ema_half_life_kimg
        self.ema_rampup = ema_rampup
        self.latent_dim = int(generator.latent_dim)  # type: ignore[arg-type]
        self.to(memory_format=torch.channels_last)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One discriminator step and, when its turn has come, one generator step."""
        optimizers: Any = self.optimizers()
        generator_optimizer, discriminator_optimizer = optimizers
        real = to_signed(batch.images)
        generator_turn = (self.clock.batch + 1) % self.discriminator_steps == 0
        with torch.set_grad_enabled(generator_turn):
            fake = self.generator(self.draw("latents", self.latent_dim))

        # Discriminator: max_D  E[log D(x)] + E[log(1 - D(G(z)))] - penalties
        real_logits = self.discriminate(real, "augment real")
        fake_logits = self.discriminate(fake.detach(), "augment fake")
        loss = self.loss.discriminator(real_logits, fake_logits)
        self.track("loss/discriminator", loss)
        self.track_values("logits/real", real_logits)
        self.track_values("logits/fake", fake_logits)
        loss = loss + self.penalty(real, fake.detach())
        self.step(discriminator_optimizer, loss)

        # Generator: max_G  E[log D(G(z))]
        if generator_turn:
            with frozen(self.discriminator):
                fake_logits = self.discriminate(fake, "augment generator")
                loss = self.generator_loss(real, fake_logits)
                self.track("loss/generator", loss)
                self.step(generator_optimizer, loss)
            images = self.clock.images + self.clock.batch_size
            step_images = self.clock.batch_size * self.discriminator_steps
            decay = ema_decay(step_images, self.ema_half_life_kimg, images, self.ema_rampup)
            update_ema(self.generator_ema, self.generator, decay)
        self.clock.advance()

    def generator_loss(self, real: Tensor, fake_logits: Tensor) -> Tensor:
        """The pair's generator loss; a relativistic one also sees the real images' logits."""
        if not self.loss.pairs_real:
            return self.loss.generator(fake_logits)
        with torch.no_grad():
            real_logits = self.discriminate(real, "augment real")
        return self.loss.generator(real=real_logits, fake=fake_logits)

    def discriminate(self, images: Tensor, purpose: str) -> Tensor:
        """Logits (N,) of augmented images; one purpose augments alike within a batch."""
        if self.augment.draws:
            images = self.augment(images, self.draw(purpose, self.augment.draws, uniform=True))
        return self.discriminator(images)

    def penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        """The weighted sum of the penalties, each tracked by its name."""
        total = real.new_zeros(())
        for name, (function, weight) in self.penalties.items():
            uniform = self.draw(f"penalty/{name}", uniform=True)
            value = function(self._discriminate_real, real, fake, uniform)
            self.track(f"penalty/{name}", value)
            total = total + weight * value
        return total

    def _discriminate_real(self, images: Tensor) -> Tensor:
        return self.discriminate(images, "augment real")

    def configure_optimizers(self) -> list[Optimizer]:
        """Generator's first, discriminator's second; D is updated first within a step."""
        return [
            self.make_optimizer(self.generator.parameters(), lr=self.generator_lr),
            self.make_optimizer(self.discriminator.parameters(), lr=self.discriminator_lr),
        ]

    def draw_inputs(self, data: Any, count: int, purpose: str) -> Tensor:
        """Latents (count, latent_dim)."""
        generator = keyed_generator(self.seed, purpose)
        return torch.randn(count, self.latent_dim, generator=generator)

    def draw_grid(self, data: Any, count: int) -> tuple[Tensor, int | None]:
        """Images of the same latents every time."""
        latents = self.draw_inputs(data, count, "sample grid")
        made = [to_uint8(self.sample(z.to(self.device))).cpu() for z in latents.split(_AT_ONCE)]
        return torch.cat(made), None

    @torch.no_grad()
    def sample(self, latents: Tensor) -> Tensor:
        """Images in [-1, 1], (N, C, H, W), of the averaged generator in evaluation mode."""
        self.generator_ema.eval()
        return self.generator_ema(latents).float()


def to_signed(images: Tensor) -> Tensor:
    """uint8 images (N, C, H, W) to floats in [-1, 1], channels last."""
    return images.float().div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)
