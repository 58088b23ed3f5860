"""Generative adversarial networks: one update for the whole family."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trompe.data.image_data import Batch
from trompe.engine.randomness import keyed_generator
from trompe.errors import check_count
from trompe.images import to_signed, to_uint8
from trompe.losses.diffaugment import DiffAugment
from trompe.losses.penalties import load_penalty
from trompe.methods.adversarial_method import Adversarial
from trompe.methods.method import frozen

_AT_ONCE = 64  # images of a sample grid that are made at once


class GAN(Adversarial):
    """A generator G and a discriminator D trained against each other (Goodfellow et al. 2014).

    DCGAN, LSGAN, WGAN-GP, SNGAN, R3GAN and the rest are this class with other parts.

    Args:
        generator: latents (N, latent_dim) to images (N, C, H, W) in [-1, 1].
        discriminator: images to logits (N,).
        penalties: weights of the penalties in `trompe.losses.penalties`; 0 leaves one out.
        augment: differentiable augmentation of everything the discriminator sees.
        discriminator_steps: discriminator steps per generator step.
        common: see `Adversarial`.
    """

    batch_type = Batch
    use = "trompe sample run={run}"

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        penalties: Mapping[str, float],
        augment: DiffAugment,
        discriminator_steps: int,
        **common: Any,
    ) -> None:
        super().__init__(generator, discriminator, **common)
        check_count("model.discriminator_steps", discriminator_steps)
        self.penalties = {name: (load_penalty(name), w) for name, w in penalties.items() if w}
        self.augment = augment
        self.discriminator_steps = discriminator_steps
        self.latent_dim = int(generator.latent_dim)  # type: ignore[arg-type]

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
            self.average_generator(self.discriminator_steps)
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
