"""Adversarial style transfer: the content of one image in the style of any other."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from trompe.data.content_style import StyleBatch
from trompe.engine.randomness import Draws
from trompe.engine.schedules import Number, check_weights
from trompe.errors import check_count
from trompe.images import to_signed
from trompe.losses.perceptual import content_loss, total_variation
from trompe.methods.adversarial_method import Adversarial
from trompe.methods.method import frozen
from trompe.methods.style import Perception, StyleTransfer, mean
from trompe.networks.palette import PALETTE_DIM, color_map, palette_of, recolor
from trompe.networks.perceptual_network import PerceptualNetwork

_LOSSES = (
    "content",
    "transported",
    "gram",
    "moments",
    "statistics",
    "adversarial",
    "identity",
    "pooled",
    "total_variation",
)


class AdversarialStyle(StyleTransfer, Adversarial):
    """A feed-forward generator G(c, s) with a discriminator D(x, s) that judges *this* style.

    G takes the content of c and the style of s, described by the statistics of a perceptual
    network's layers; D tells paintings of the style from G's, from content photographs and from
    paintings of other styles (Reed et al. 2016, https://arxiv.org/abs/1605.05396, sec. 4.2).

    Args:
        generator: makes the generator from the length of a style's description.
        discriminator: makes the discriminator from it.
        perceptual: the network in whose features content and style are compared.
        weights: of the generator's losses: content, transported, gram, moments, statistics,
            adversarial, identity, pooled, total_variation.
        warmup_kimg: thousands of images before the discriminator enters.
        identity_every: one pair in this many of a batch is an image in its own style; None: none.
        common: see `Adversarial`.

    Raises:
        UserError: if the loss compares pairs, or `identity_every` is below 1.
    """

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        perceptual: PerceptualNetwork,
        weights: Mapping[str, Number],
        warmup_kimg: float,
        identity_every: int | None,
        **common: Any,
    ) -> None:
        if identity_every is not None:
            check_count("model.identity_every", identity_every)
        perception = Perception(perceptual)
        style_dim = perception.style_dim
        super().__init__(generator(style_dim), discriminator(style_dim), **common)
        # Instance normalization has no kernels for channels last: a fifth faster on a CPU.
        self.generator.to(memory_format=torch.contiguous_format)
        self.generator_ema.to(memory_format=torch.contiguous_format)
        self.perception = perception
        network: Any
        for network in (self.generator, self.generator_ema.network):
            # Of the same weights one copy is enough, in memory and in what is exported.
            own: PerceptualNetwork | None = getattr(network, "encoder", None)
            if own is not None and own.fingerprint == perceptual.fingerprint:
                network.look_through(perceptual)
        self.weights = check_weights(weights, _LOSSES)
        perception.check("model.weights", self.weights)
        self.warmup_kimg = warmup_kimg
        self.identity_every = identity_every

    def phase(self) -> str:
        """A generator step and, after the warm-up, a discriminator step before it."""
        return "d+g" if self.is_adversarial else "g"

    @property
    def is_adversarial(self) -> bool:
        """Whether the discriminator has entered."""
        return self.weights["adversarial"] != 0 and self.clock.kimg >= self.warmup_kimg

    def update(self, phase: str, batch: StyleBatch, draws: Draws) -> None:
        """One step of the discriminator, one of the generator."""
        names = phase.split("+")
        content, style = to_signed(batch.content), to_signed(batch.style)
        every, rows = self.identity_every, draws.rows()
        own = rows < 0 if every is None else rows % every == every - 1
        style = torch.where(own[:, None, None, None], content, style)
        targets, code = self.perception.describe(style)
        seen = code[:, : self.perception.style_dim]
        with torch.set_grad_enabled("g" in names), draws.named("fake"):
            fake = self.generator(content, self.predict(self.generator, code))

        # Discriminator: max_D  E[log D(s, s)] + E[log(1 - D(x, s))], x = G(c, s) or c or s'
        if "d" in names:
            real_logits = self.discriminator(style, seen)
            fake_logits = self.discriminator(fake.detach(), seen)
            negatives = self.negatives(content, style, fake.detach(), own)
            others = [self.discriminator(images, seen) for images in negatives]
            loss = mean(self.loss.discriminator(real_logits, x) for x in (fake_logits, *others))
            self.track("loss/discriminator", loss)
            self.track_values("logits/real", real_logits.flatten())
            self.track_values("logits/fake", fake_logits.flatten())
            self.step("d", loss)

        # Generator: min_G  content + style - E[log D(G(c, s), s)] + what keeps it in bounds
        if "g" in names:
            # In the style's colors: what to change of these is not a question of content.
            wanted = recolor(content, *color_map(palette_of(content), seen[:, -PALETTE_DIM:]))
            losses = self.perception.losses(
                fake, wanted.clamp(-1, 1), targets, self.weights, draws.seed("shift")
            )
            losses["identity"] = (own * (fake - content).abs().mean((1, 2, 3))).mean()
            losses["pooled"] = content_loss(avg_pool2d(fake, 8), avg_pool2d(content, 8))
            losses["total_variation"] = total_variation(fake)
            with frozen(self.discriminator):
                if self.is_adversarial:
                    losses["adversarial"] = self.loss.generator(self.discriminator(fake, seen))
                loss = self.weighted(losses, self.weights)
                self.track("loss/generator", loss)
                self.step("g", loss)

    def negatives(
        self, content: Tensor, style: Tensor, fake: Tensor, own: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Paintings of other styles, and photographs; G's images where these would be real."""
        rows = torch.arange(len(style), device=style.device)
        # Neighbors change places, so that any division among processes gives the same result.
        swapped = (rows ^ 1).clamp(max=len(style) - 1)
        same = (own | own[swapped] | (swapped == rows))[:, None, None, None]
        return (
            torch.where(same, fake, style[swapped]),
            torch.where(own[:, None, None, None], fake, content),
        )

    def predict(self, generator: Any, code: Tensor) -> Tensor:
        """The parameters (N, P) of a generator for styles (N, S), in float32."""
        with torch.autocast(code.device.type, enabled=False):
            parameters: Tensor = generator.predict(code)
        return parameters

    def parameters_of(self, style: Tensor) -> Tensor:
        """See `StyleTransfer`."""
        return self.predict(self.generator_ema.network, self.describe(style))

    def describe(self, style: Tensor) -> Tensor:
        """See `FromPictures`: the statistics of the perceptual network's layers."""
        return self.perception.describe(style)[1]
