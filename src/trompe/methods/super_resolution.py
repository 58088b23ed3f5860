"""Super-resolution: Johnson et al. 2016, sec. 3, with an adversarial term (Ledig et al. 2017)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from trompe.data.high_low import HighLow
from trompe.engine.randomness import Draws
from trompe.engine.schedules import Number, check_weights
from trompe.errors import UserError
from trompe.images import enlarged, to_signed, to_uint8
from trompe.losses.perceptual import total_variation
from trompe.methods.adversarial_method import Adversarial
from trompe.methods.capabilities import Enlarges, Generates, Images, on
from trompe.methods.method import frozen
from trompe.methods.style import Perception
from trompe.networks.perceptual_network import PerceptualNetwork
from trompe.networks.super_resolver import in_tiles

_LOSSES = ("pixel", "content", "adversarial", "total_variation")


class SuperResolution(Adversarial, Generates, Enlarges):
    """A network that enlarges images, trained on images and small copies of them.

    `pixel` alone is the paper's control, `content` its method; `adversarial` adds a discriminator
    that tells enlarged images from real ones.

    Args:
        factor: times more pixels along each side; the data's.
        perceptual: the network in whose features `content` compares.
        weights: of the losses: pixel, content, adversarial, total_variation.
        common: see `Adversarial`.

    Raises:
        UserError: for wrong weights, or a network of another factor.
    """

    batch_type = HighLow
    inputs_type = HighLow

    def __init__(
        self,
        factor: int,
        perceptual: PerceptualNetwork,
        weights: Mapping[str, Number],
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.factor = factor
        if self.generator.factor != factor:
            raise UserError(
                f"model.generator.factor={self.generator.factor} is not the data's: {factor}"
            )
        self.weights = check_weights(weights, _LOSSES)
        self.perception = Perception(perceptual)
        self.perception.check("model.weights", self.weights)

    def phase(self) -> str:
        """``d+g``, or ``g`` while the adversarial loss weighs nothing."""
        return "d+g" if self.value(self.weights["adversarial"]) else "g"

    def update(self, phase: str, batch: HighLow, draws: Draws) -> None:
        """min_G of weighted losses, and min_D of its own."""
        names = phase.split("+")
        high, low = map(to_signed, batch)
        fake = self.generator(low)

        if "d" in names:
            real_logits = self.discriminator(high)
            fake_logits = self.discriminator(fake.detach())
            loss = self.loss.discriminator(real_logits, fake_logits)
            self.track("loss/discriminator", loss)
            self.step("d", loss)

        if "g" in names:
            with frozen(self.discriminator):
                losses = self.losses(fake, high, draws.seed("shift"))
                loss = self.weighted(losses, self.weights)
                self.track("loss/generator", loss)
                self.step("g", loss)

    def losses(self, fake: Tensor, high: Tensor, seed: int) -> dict[str, Tensor]:
        """Those that weigh anything, unweighted; `seed` as `Perception.losses` takes it."""
        made: dict[str, Tensor] = {}
        if self.weights["pixel"] != 0:
            made["pixel"] = mse_loss(fake, high)
        if self.weights["content"] != 0:
            ours, theirs = (images.expand(-1, 3, -1, -1) for images in (fake, high))
            made |= self.perception.losses(ours, theirs, {}, self.weights, seed)
        if self.value(self.weights["adversarial"]):
            made["adversarial"] = self.loss.generator(self.discriminator(fake))
        if self.weights["total_variation"] != 0:
            made["total_variation"] = total_variation(fake)
        return made

    def draw_inputs(self, data: Any, count: int, purpose: str) -> HighLow:
        """Held-out images with their small copies."""
        pairs: HighLow = data.pairs("validation", count)
        return pairs

    @torch.no_grad()
    def generate(self, inputs: HighLow) -> Images:
        """What the averaged generator makes of the small copies."""
        return Images(self.generator_ema(to_signed(inputs.low)).float().clamp(-1, 1))

    def draw_grid(self, data: Any, count: int) -> tuple[Tensor, int]:
        """A row for each held-out image: bicubic enlargement, the generator's, the image itself."""
        inputs = data.pairs("validation", max(1, count // 3))
        made = self.generate(on(self.device, inputs)).images.cpu()
        plain = enlarged(to_signed(inputs.low), self.factor)
        columns = (to_uint8(plain), to_uint8(made), inputs.high)
        return torch.stack(columns, 1).flatten(0, 1), len(columns)

    @torch.no_grad()
    def enlarge(self, picture: Tensor, tile: int | None = None) -> Tensor:
        """See `Enlarges`."""
        network: Any = self.generator_ema.network
        made: Tensor = network(picture) if tile is None else in_tiles(network, picture, tile)
        return made.float().clamp(-1, 1)

    def memory(self, height: int, width: int | None = None) -> int:
        """See `Enlarges`."""
        network: Any = self.generator_ema.network
        around = 2 * network.halo if width is None else 0
        pixels = (height + around) * ((width or height) + around) * self.factor**2
        # Measured: five times a feature map of all pixels, the large ones.
        width_of_maps: int = network.image.in_channels
        return pixels * width_of_maps * 4 * 5
