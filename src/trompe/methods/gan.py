"""Generative adversarial networks: one update for the whole family."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from trompe.data.image_data import Batch
from trompe.engine.randomness import Draws
from trompe.errors import UserError, check_count
from trompe.images import to_signed
from trompe.losses import generator_penalties as generator_penalties_of
from trompe.losses import penalties as penalties_of
from trompe.losses.diffaugment import Augment
from trompe.losses.weighted_penalties import Penalties, check_every
from trompe.methods.adversarial_method import Adversarial
from trompe.methods.capabilities import FromLatents, LabeledLatents, Latents, Options
from trompe.methods.method import frozen


class GAN(Adversarial, FromLatents):
    """A generator G and a discriminator D trained against each other (Goodfellow et al. 2014).

    DCGAN, LSGAN, WGAN-GP, SNGAN, R3GAN, StyleGAN and the rest are this class with different parts.

    With classes both networks are given the labels (N,) of the batch, as the keyword `labels`: real
    and generated images share them (Mirza and Osindero 2014, https://arxiv.org/abs/1411.1784).

    Args:
        generator: latents (N, latent_dim) to images (N, C, H, W) in [-1, 1].
        discriminator: images to logits (N,).
        penalties: weights of the discriminator's penalties, functions of
            `trompe.losses.penalties`; numbers or schedules, 0 leaves one out.
        generator_penalties: the same of the generator, `trompe.losses.generator_penalties`.
        penalty_every: by name, take a penalty only once in this many turns, in a step of its own
            and times that number (Karras et al. 2020, StyleGAN2, appendix B); 1 by default.
        augment: differentiable augmentation of everything the discriminator sees.
        discriminator_steps: discriminator steps per generator step.
        classes: number of classes; with 0 the networks are given no labels.
        common: see `Adversarial`.

    Raises:
        UserError: if an adaptive augmentation and the loss do not go together.
    """

    batch_type = Batch
    compares_pairs = True

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        penalties: Mapping[str, Any],
        augment: Augment,
        discriminator_steps: int,
        generator_penalties: Mapping[str, Any],
        penalty_every: Mapping[str, int],
        classes: int = 0,
        **common: Any,
    ) -> None:
        super().__init__(generator, discriminator, **common)
        check_count("model.discriminator_steps", discriminator_steps)
        check_every(penalty_every, penalties, generator_penalties)
        if augment.reads_signs and not self.loss.has_border:
            raise UserError(
                "model/augment=ada takes a logit above 0 for real, but in this model.loss only "
                "differences of logits count: choose model/augment=scheduled_ada, or another loss"
            )
        self.penalties = Penalties(penalties_of.load_penalty, penalties, penalty_every)
        self.generator_penalties = Penalties(
            generator_penalties_of.load_penalty, generator_penalties, penalty_every
        )
        self.augment = augment
        self.discriminator_steps = discriminator_steps
        self.latent_shape = (int(generator.latent_dim),)  # type: ignore[arg-type]
        self.classes = classes
        self.inputs_type = LabeledLatents if classes else Latents
        self.layers_of_styles = getattr(generator, "layers_of_styles", 0)

    def phase(self) -> str:
        """A discriminator step and, when its turn has come, a generator step.

        Each is followed by a further step for every lazy penalty that is due.
        """
        names = self.penalties.steps("d", self.clock.batch)
        turn, waits = divmod(self.clock.batch + 1, self.discriminator_steps)
        if not waits:
            names += self.generator_penalties.steps("g", turn - 1)
        return "+".join(names)

    def steps_per_turn(self, name: str) -> float:
        """With the steps for lazy penalties."""
        penalties = self.penalties if name == "d" else self.generator_penalties
        return penalties.steps_per_turn

    def update(self, phase: str, batch: Batch, draws: Draws) -> None:
        """One step of the discriminator, one of the generator, and those for lazy penalties."""
        names = phase.split("+")
        self.augment.prepare(self.clock.kimg)
        real = to_signed(batch.images)
        latents = draws.normal("latents", *self.latent_shape)
        given: dict[str, Any] = {"labels": batch.labels} if self.classes else {}
        judge: Callable[..., Tensor] = partial(self.discriminate, **given)
        generator = partial(self.generator, **given) if given else self.generator
        with torch.set_grad_enabled("g" in names):
            fake = self.generate_fake(latents, draws, **given)
        seen = (partial(judge, purpose="augment real", draws=draws), real, fake.detach())

        # Discriminator: max_D  E[log D(x)] + E[log(1 - D(G(z)))] - penalties
        if "d" in names:
            real_logits = judge(real, "augment real", draws)
            fake_logits = judge(fake.detach(), "augment fake", draws)
            loss = self.loss.discriminator(real_logits, fake_logits)
            self.track("loss/discriminator", loss)
            self.track_values("logits/real", real_logits)
            self.track_values("logits/fake", fake_logits)
            for name, value in self.augment.values().items():
                self.track(f"augment/{name}", value)
            loss = loss + self.penalize(self.penalties, names, *seen, draws)
            if (logits := self.of_batch("real logits", real_logits)) is not None:
                self.augment.observe(logits, draws.share)
            self.step("d", loss)
        for name in lazy("d", names):
            self.step(f"d/{name}", self.penalize(self.penalties, [name], *seen, draws))

        # Generator: max_G  E[log D(G(z))] - penalties
        if "g" in names:
            with frozen(self.discriminator):
                fake_logits = judge(fake, "augment generator", draws)
                loss = self.generator_loss(real, fake_logits, draws, **given)
                self.track("loss/generator", loss)
                made = (generator, latents, fake)
                loss = loss + self.penalize(self.generator_penalties, names, *made, draws)
                self.step("g", loss)
        for name in lazy("g", names):
            made = (generator, latents, self.generate_fake(latents, draws, **given))
            self.step(f"g/{name}", self.penalize(self.generator_penalties, [name], *made, draws))

    def generate_fake(self, latents: Tensor, draws: Draws, **given: Tensor) -> Tensor:
        """The generator's images of this batch; every time with the same noise."""
        with draws.named("fake"):
            fake: Tensor = self.generator(latents, **given)
        return fake

    def generator_loss(
        self, real: Tensor, fake_logits: Tensor, draws: Draws, **given: Tensor
    ) -> Tensor:
        """The pair's generator loss; a relativistic one also sees the real images' logits."""
        if not self.loss.pairs_real:
            return self.loss.generator(fake_logits)
        with torch.no_grad():
            real_logits = self.discriminate(real, "augment real", draws, **given)
        return self.loss.generator(real=real_logits, fake=fake_logits)

    def discriminate(self, images: Tensor, purpose: str, draws: Draws, **given: Tensor) -> Tensor:
        """Logits (N,) of augmented images; within a batch, one purpose means one augmentation.

        `given` are the `labels`, if there are classes.
        """
        if self.augment.draws:
            images = self.augment(images, draws.uniform(purpose, self.augment.draws))
        with draws.named(purpose):
            logits: Tensor = self.discriminator(images, **given)
        return logits

    def penalize(self, penalties: Penalties, names: Sequence[str], *arguments: Any) -> Tensor:
        """The weighted sum of those penalties that are named."""
        *tensors, draws = arguments
        return penalties(names, self.value, self.track, tensors, draws)

    @property
    def options(self) -> Options:
        """With styles, `truncation`."""
        return {"truncation": ()} if self.layers_of_styles else {}

    def sample(self, inputs: Latents | LabeledLatents, **options: Any) -> Tensor:
        """Images in [-1, 1], (N, C, H, W), of the averaged generator in evaluation mode."""
        return self.from_codes(self.codes(inputs, **options), getattr(inputs, "labels", None))

    @torch.no_grad()
    def codes(self, inputs: Latents | LabeledLatents, **options: Any) -> Tensor:
        """Latents, or styles (N, layers, D), drawn toward their mean by `truncation`."""
        truncation: float = options.get("truncation", 1)
        if not self.layers_of_styles:
            return inputs.latents
        network, labels = self.generator_ema.network, getattr(inputs, "labels", None)
        styles: Tensor = network.styles(inputs.latents, labels)
        return network.truncate(styles, truncation, labels) if truncation != 1 else styles

    @torch.no_grad()
    def from_codes(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """See `FromLatents`; a style has its class in it."""
        network = self.generator_ema.network
        given = {} if labels is None else {"labels": labels}
        make = network.synthesize if self.layers_of_styles else partial(network, **given)
        images: Tensor = make(codes)
        return images.float()

    def between(self, a: Tensor, b: Tensor, part: float) -> Tensor:
        """Styles along a straight line (StyleGAN, sec. 4.1), latents on a circle."""
        return a.lerp(b, part) if self.layers_of_styles else super().between(a, b, part)


def lazy(optimizer: str, names: Sequence[str]) -> list[str]:
    """The penalties for which a phase has a step of this optimizer of their own."""
    return [
        name.removeprefix(f"{optimizer}/") for name in names if name.startswith(f"{optimizer}/")
    ]
