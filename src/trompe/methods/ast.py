"""Style of a collection: Sanakoyeu et al. 2018, https://arxiv.org/abs/1807.10201."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from trompe.data.content_style import StyleBatch
from trompe.engine.randomness import Draws
from trompe.engine.schedules import Number, check_weights
from trompe.images import to_signed
from trompe.losses.perceptual import content_loss
from trompe.methods.adversarial_method import Adversarial
from trompe.methods.method import frozen
from trompe.methods.style import StyleTransfer

_LOSSES = ("content", "pooled", "adversarial")


class AST(StyleTransfer, Adversarial):
    """An encoder and decoder against a discriminator that sees all of one artist's pictures.

    No pretrained network: content is what the encoder itself sees (sec. 3.2). All the data's
    style pictures together are the one style.

    Args:
        generator: has `encode` and `decode`.
        discriminator: images to a list of logits, one tensor for each of its predictions.
        weights: of the generator's losses: content, pooled, adversarial.
        target_success: share of images that the discriminator should get right; below it, the
            discriminator is trained, otherwise the generator.
        success_memory: fraction of the running share that each batch keeps.
        common: see `Adversarial`.
    """

    takes_style = False
    success: Tensor

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        weights: Mapping[str, Number],
        target_success: float,
        success_memory: float,
        **common: Any,
    ) -> None:
        super().__init__(generator, discriminator, **common)
        self.weights = check_weights(weights, _LOSSES)
        self.target_success = target_success
        self.success_memory = success_memory
        self.register_buffer("success", torch.tensor(target_success))

    def phase(self) -> str:
        """A step of the discriminator if it is too often wrong, else one of the generator.

        The one phase that the clock alone does not decide: the authors' rule looks at the previous
        batch, so the host waits for one number a batch.
        """
        return "d" if self.success < self.target_success else "g"

    def update(self, phase: str, batch: StyleBatch, draws: Draws) -> None:
        """One step of the discriminator, or one of the generator."""
        content, style = to_signed(batch.content), to_signed(batch.style)
        generator: Any = self.generator

        # Discriminator: max_D  E[log D(y)] + E[log(1 - D(G(x)))] + E[log(1 - D(x))]
        if phase == "d":
            with torch.no_grad():
                fake = generator(content, None)
            real_logits, fake_logits, photo_logits = (
                self.discriminator(images) for images in (style, fake, content)
            )
            negatives = [torch.cat(pair) for pair in zip(fake_logits, photo_logits, strict=True)]
            loss = total(map(self.loss.discriminator, real_logits, negatives))
            self.track("loss/discriminator", loss)
            self.track_values("logits/real", flat(real_logits))
            self.track_values("logits/fake", flat(fake_logits))
            right = [flat(real_logits) > 0, flat(fake_logits) < 0, flat(photo_logits) < 0]
            self.remember(torch.cat(right), draws)
            self.step("d", loss)

        # Generator: min_G  |E(G(x)) - E(x)|^2 + |T(G(x)) - T(x)|^2 - E[log D(G(x))]
        if phase == "g":
            with frozen(self.discriminator):
                features = generator.encode(content)
                fake = generator.decode(features)
                logits = self.discriminator(fake)
                losses = {
                    "content": content_loss(generator.encode(fake), features),
                    "pooled": content_loss(avg_pool2d(fake, 8), avg_pool2d(content, 8)),
                    "adversarial": total(self.loss.generator(x) for x in logits),
                }
                loss = self.weighted(losses, self.weights)
                self.track("loss/generator", loss)
                self.remember(flat(logits) < 0, draws)
                self.step("g", loss)

    def remember(self, right: Tensor, draws: Draws) -> None:
        """Update the running share with the images that the discriminator got right, everywhere."""
        batch = self.of_batch("right", right.float())
        if batch is not None:
            self.success.lerp_(draws.share.mean(batch.mean()), 1 - self.success_memory)
            self.track("discriminator/success", self.success)

    def parameters_of(self, style: Tensor) -> Tensor:
        """None: there is one style."""
        parameters: Tensor = self.generator_ema.network.predict(style)
        return parameters


def total(values: Iterable[Tensor]) -> Tensor:
    """Of scalars."""
    return torch.stack(list(values)).sum()


def flat(logits: Iterable[Tensor]) -> Tensor:
    """All predictions' logits in one row."""
    return torch.cat([x.flatten() for x in logits])
