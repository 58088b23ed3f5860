"""Feed-forward style transfer of one style: Johnson et al. 2016, https://arxiv.org/abs/1603.08155."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trompe.data.content_style import StyleBatch
from trompe.engine.ema import Averaged
from trompe.engine.randomness import Draws
from trompe.engine.schedules import Number, check_weights
from trompe.errors import UserError
from trompe.images import to_signed
from trompe.losses.perceptual import total_variation
from trompe.methods.style import Perception, StyleTransfer
from trompe.networks.perceptual_network import PerceptualNetwork

_LOSSES = ("content", "gram", "moments", "statistics", "total_variation")


class Johnson(StyleTransfer):
    """A transformer network trained for one style picture with perceptual losses alone (sec. 3).

    The style picture is the middle of one of the training styles, and is kept in the checkpoint.

    Args:
        generator: from contents and its own parameters to images.
        perceptual: the network in whose features content and style are compared.
        weights: of the losses: content, gram, moments, statistics, total_variation.
        style_index: which of the training style pictures.
        resolution: side of the style picture, pixels.
        optimizer: makes the optimizer from parameters and `lr`.
        lr: learning rate; a number or a schedule.
        ema_half_life_kimg: half-life of the averaged generator, thousands of images.
        ema_rampup: the half-life is at most this fraction of the images seen.
        common: see `Method`.
    """

    optimizer_names = ("g",)
    takes_style = False

    def __init__(
        self,
        generator: nn.Module,
        perceptual: PerceptualNetwork,
        weights: Mapping[str, Number],
        style_index: int,
        resolution: int,
        optimizer: Callable[..., Optimizer],
        lr: Number,
        ema_half_life_kimg: Number,
        ema_rampup: float,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.generator = generator
        self.generator_ema = Averaged(generator, ema_half_life_kimg, ema_rampup)
        self.perception = Perception(perceptual)
        self.weights = check_weights(weights, _LOSSES)
        self.perception.check("model.weights", self.weights)
        self.style_index = style_index
        self.optimizer = optimizer
        self.lr = lr
        self.register_buffer("style", torch.zeros(3, resolution, resolution, dtype=torch.uint8))
        self._targets: Any = None

    def setup(self, stage: str) -> None:
        """Take the style picture from the data.

        Raises:
            UserError: if there are not that many.
        """
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        pictures = data.style.split_size("train") // data.style.squares
        if not 0 <= self.style_index < pictures:
            raise UserError(
                f"model.style_index={self.style_index}: there are {pictures} training style "
                f"pictures, 0 to {pictures - 1}"
            )
        chosen = data.styles("train", self.style_index + 1)[self.style_index]
        self.get_buffer("style").copy_(chosen)

    def configure_optimizers(self) -> Optimizer:
        """One, of the generator."""
        return self.make_optimizer(self.optimizer, self.generator.parameters(), lr=self.lr)

    def update(self, phase: str, batch: StyleBatch, draws: Draws) -> None:
        """min_G  content + style (eq. 1 to 5) + total variation."""
        if self._targets is None:
            self._targets = self.perception.describe(to_signed(self.get_buffer("style")[None]))[0]
        generator: Any = self.generator
        content = to_signed(batch.content)
        fake = generator(content, generator.predict(content))
        losses = self.perception.losses(
            fake, content, self._targets, self.weights, draws.seed("shift")
        )
        losses["total_variation"] = total_variation(fake)
        loss = self.weighted(losses, self.weights)
        self.track("loss/generator", loss)
        self.step("g", loss)

    def draw_styles(self, data: Any, count: int) -> Tensor:
        """The one style, again and again."""
        return self.get_buffer("style").cpu().expand(count, -1, -1, -1)

    def parameters_of(self, style: Tensor) -> Tensor:
        """Those of the one style."""
        parameters: Tensor = self.generator_ema.network.predict(style)
        return parameters
