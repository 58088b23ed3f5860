"""Adversarial style transfer: the content of one image in the style of any other."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from trompe.data.content_style import StyleBatch
from trompe.engine.randomness import keyed_generator, keyed_seed
from trompe.errors import UserError, check_count
from trompe.images import to_signed, to_uint8
from trompe.losses.perceptual import (
    ChannelStatistics,
    channel_statistics,
    content_loss,
    gram_matrix,
    relative_gram_distance,
    statistics_distance,
    total_variation,
)
from trompe.methods.adversarial import Adversarial
from trompe.methods.base import frozen
from trompe.networks.perceptual import PerceptualNetwork

# Pictures are moved by fewer pixels than this before they are compared: the stride of b8e is 16.
_SHIFTS = 8


class AdversarialStyle(Adversarial):
    """A feed-forward generator G(c, s) with a discriminator D(x, s) that judges *this* style.

    G takes the content of c and the style of s, described by the statistics of a perceptual
    network's layers; D tells paintings of the style from G's, from content photographs and from
    paintings of other styles (Reed et al. 2016, https://arxiv.org/abs/1605.05396, sec. 4.2).

    Args:
        generator: makes the generator from the length of a style's description.
        discriminator: makes the discriminator from it.
        perceptual: the network in whose features content and style are compared.
        weights: of the generator's losses: content, gram, statistics, adversarial, identity,
            pooled, total_variation.
        warmup_kimg: thousands of images before the discriminator enters.
        identity_every: every so manieth pair of a batch is a picture in its own style.
        common: see `Adversarial`.

    Raises:
        UserError: if the loss compares pairs, or `identity_every` is below 1.
    """

    batch_type = StyleBatch
    use = "trompe stylize run={run} content=<picture or folder> style=<picture or folder>"

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        perceptual: PerceptualNetwork,
        weights: Mapping[str, float],
        warmup_kimg: float,
        identity_every: int,
        **common: Any,
    ) -> None:
        check_count("model.identity_every", identity_every)
        style_dim = describe(perceptual, torch.zeros(1, 3, 64, 64))[1].shape[1]
        super().__init__(generator(style_dim), discriminator(style_dim), **common)
        if self.loss.pairs_real:
            raise UserError(f"model.loss={common['loss']} compares pairs, which there are none of")
        # In a tuple, so that it is no part of the checkpoints: its weights come with its package.
        self._perceptual = (perceptual,)
        self.weights = dict(weights)
        self.warmup_kimg = warmup_kimg
        self.identity_every = identity_every

    def training_step(self, batch: StyleBatch, batch_idx: int) -> None:
        """One generator step and, after the warm-up, one discriminator step before it."""
        optimizers: Any = self.optimizers()
        generator_optimizer, discriminator_optimizer = optimizers
        content, style = to_signed(batch.content), to_signed(batch.style)
        own = self.global_rows(len(content)) % self.identity_every == self.identity_every - 1
        style = torch.where(own[:, None, None, None], content, style)
        targets, code = self.describe(style)
        fake = self.generator(content, self.predict(self.generator, code))
        adversarial = self.weights["adversarial"] > 0 and self.clock.kimg >= self.warmup_kimg

        # Discriminator: max_D  E[log D(s, s)] + E[log(1 - D(x, s))], x = G(c, s) or c or s'
        if adversarial:
            real_logits = self.discriminator(style, code)
            fake_logits = self.discriminator(fake.detach(), code)
            negatives = self.negatives(content, style, fake.detach(), own)
            others = [self.discriminator(images, code) for images in negatives]
            loss = mean(self.loss.discriminator(real_logits, x) for x in (fake_logits, *others))
            self.track("loss/discriminator", loss)
            self.track_values("logits/real", real_logits.flatten())
            self.track_values("logits/fake", fake_logits.flatten())
            self.step(discriminator_optimizer, loss)

        # Generator: min_G  content + style - E[log D(G(c, s), s)] + what keeps it in bounds
        with frozen(self.discriminator):
            losses = self.perceptual_losses(fake, content, targets)
            losses["identity"] = (own * (fake - content).abs().mean((1, 2, 3))).mean()
            losses["pooled"] = content_loss(avg_pool2d(fake, 8), avg_pool2d(content, 8))
            losses["total_variation"] = total_variation(fake)
            if adversarial:
                losses["adversarial"] = self.loss.generator(self.discriminator(fake, code))
            for name, value in losses.items():
                self.track(f"loss/{name}", value)
            loss = torch.stack([self.weights[name] * value for name, value in losses.items()]).sum()
            self.track("loss/generator", loss)
            self.step(generator_optimizer, loss)
        self.average_generator()
        self.clock.advance()

    def negatives(
        self, content: Tensor, style: Tensor, fake: Tensor, own: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Paintings of other styles, and photographs; G's pictures where these would be real."""
        rows = torch.arange(len(style), device=style.device)
        # Neighbours change places, so that any division among processes gives the same.
        swapped = (rows ^ 1).clamp(max=len(style) - 1)
        same = (own | own[swapped] | (swapped == rows))[:, None, None, None]
        return (
            torch.where(same, fake, style[swapped]),
            torch.where(own[:, None, None, None], fake, content),
        )

    def predict(self, generator: Any, code: Tensor) -> Tensor:
        """The parameters (N, P) of a generator for styles (N, S), in float32."""
        with torch.autocast(code.device.type, enabled=False):
            return generator.predict(code)

    def describe(self, style: Tensor) -> tuple[dict[str, "StyleTarget"], Tensor]:
        """The styles of images (N, 3, H, W): as targets of the losses, and as vectors (N, S)."""
        return describe(self.perceptual, style)

    def perceptual_losses(
        self, fake: Tensor, content: Tensor, targets: Mapping[str, "StyleTarget"]
    ) -> dict[str, Tensor]:
        """Content, gram and statistics: means over the perceptual network's layers."""
        network = self.perceptual
        with torch.autocast(fake.device.type, enabled=False):
            # The network's strides would leave a checkerboard if they always met the same pixels.
            drawn = keyed_seed(self.seed, "shift", self.clock.images)
            top, left = drawn % _SHIFTS, drawn // _SHIFTS % _SHIFTS
            moved, still = (x[..., top:, left:] for x in (fake.float(), content))
            features = network(moved)
            with torch.no_grad():
                wanted = network(still, network.content_layers)
            own = {name: features[name] for name in targets}
            return {
                "content": mean(content_loss(features[k], wanted[k]) for k in wanted),
                "gram": mean(
                    relative_gram_distance(gram_matrix(own[k]), t.gram) for k, t in targets.items()
                ),
                "statistics": mean(
                    statistics_distance(channel_statistics(own[k]), t.statistics)
                    for k, t in targets.items()
                ),
            }

    @property
    def perceptual(self) -> PerceptualNetwork:
        """The network in whose features content and style are compared, on this device."""
        return self._perceptual[0].to(self.device)

    def draw_inputs(self, data: Any, count: int, purpose: str) -> Tensor:
        """Held-out pairs (count, 2, 3, R, R) of content and style, uint8."""
        contents, styles = data.contents("validation", count), data.styles("validation", count)
        order = torch.randperm(count, generator=keyed_generator(self.seed, purpose))
        return torch.stack([contents, styles[order]], 1)

    @torch.no_grad()
    def sample(self, inputs: Tensor) -> Tensor:
        """Images in [-1, 1], (N, 3, H, W), of the averaged generator, for uint8 pairs."""
        content, style = (to_signed(images) for images in inputs.unbind(1))
        return self.stylise(content, self.predict(self.generator_ema, self.describe(style)[1]))

    def stylise(self, content: Tensor, parameters: Tensor) -> Tensor:
        """The averaged generator's pictures (N, 3, H, W) in [-1, 1] of `content`, float32."""
        generator: Any = self.generator_ema.eval()
        return generator(content, parameters).float()

    def draw_grid(self, data: Any, count: int) -> tuple[Tensor, int]:
        """A matrix of held-out contents (rows) and styles (columns), about `count` images."""
        side = max(1, round(count**0.5))
        contents, styles = data.contents("validation", side), data.styles("validation", side)
        pairs = torch.stack([contents.repeat_interleave(side, 0), styles.repeat(side, 1, 1, 1)], 1)
        made = [to_uint8(self.sample(some.to(self.device))).cpu() for some in pairs.split(side)]
        corner = torch.full_like(contents[:1], 255)
        rows = [
            torch.cat([content[None], row]) for content, row in zip(contents, made, strict=True)
        ]
        return torch.cat([corner, styles, *rows]), side + 1


class StyleTarget(NamedTuple):
    """What a style's layer should be like: its Gram matrix and its channels' statistics."""

    gram: Tensor
    statistics: ChannelStatistics


def mean(values: Iterable[Tensor]) -> Tensor:
    """Of scalars."""
    return torch.stack(list(values)).mean()


@torch.no_grad()
def describe(network: PerceptualNetwork, style: Tensor) -> tuple[dict[str, StyleTarget], Tensor]:
    """The styles of images (N, 3, H, W) in [-1, 1], as `AdversarialStyle.describe` gives them."""
    with torch.autocast(style.device.type, enabled=False):
        features = network(style.float(), network.style_layers)
        targets = {
            name: StyleTarget(gram_matrix(maps), channel_statistics(maps))
            for name, maps in features.items()
        }
        parts = [(t.statistics.mean, t.statistics.std.log()) for t in targets.values()]
        return targets, torch.cat([part for pair in parts for part in pair], 1)
