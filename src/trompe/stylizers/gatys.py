"""Optimization of the picture itself: Gatys et al. 2016, "Image Style Transfer Using CNNs"."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from trompe.bars import Bar
from trompe.engine.randomness import keyed_seed
from trompe.errors import UserError, check_count, check_number, check_positive
from trompe.losses.perceptual import ChannelStatistics, total_variation
from trompe.methods.style import Perception, StyleTarget
from trompe.networks.perceptual_network import PerceptualNetwork

_LOSSES = ("content", "transported", "gram", "moments", "statistics", "total_variation")


class Gatys:
    """No training: every picture is optimized, from the content on (sec. 2.3). See `Stylizer`.

    A style is the Gram matrices and the channels' statistics of all style layers; a mix of styles
    is the mean of these.

    Args:
        perceptual: the network in whose features content and style are compared.
        weights: of the losses: content, transported, gram, moments, statistics, total_variation.
        optimizer: makes the optimizer from parameters: Adam, or L-BFGS as in the paper.
        steps: number of optimizer steps.
        seed: of the few pixels by which pictures are shifted before they are compared.

    Raises:
        UserError: if there are no steps, no loss has a weight, or one that there is not does.
    """

    takes_style = True

    def __init__(
        self,
        perceptual: PerceptualNetwork,
        weights: Mapping[str, float],
        optimizer: Callable[..., Optimizer],
        steps: int,
        seed: int,
    ) -> None:
        check_count("stylizer.steps", steps)
        if wrong := sorted({*weights} - {*_LOSSES}):
            raise UserError(f"stylizer.weights.{wrong[0]}: choose from {', '.join(_LOSSES)}")
        for name, weight in weights.items():
            check_number(f"stylizer.weights.{name}", weight, 0)
        if (rate := getattr(optimizer, "keywords", {}).get("lr")) is not None:
            check_positive("stylizer.optimizer.lr", rate)
        if not any(weights.values()):
            raise UserError("stylizer.weights: at least one must not be 0")
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.perception = Perception(perceptual.to(self.device))
        self.perception.check("stylizer.weights", weights)
        self.weights = dict(weights)
        self.make_optimizer = optimizer
        self.steps = steps
        self.seed = seed
        self.name = f"optimization, {steps} steps"
        layers = perceptual.style_layers, perceptual.content_layers
        settings = self.weights, steps, seed, getattr(optimizer, "keywords", {}), layers
        kind = getattr(optimizer, "func", optimizer).__name__
        self.fingerprint = f"{kind} {perceptual.name} {settings}"

    def describe(self, style: Tensor) -> Tensor:
        """Gram matrix, means and deviations of layer after layer, in one row."""
        targets, _ = self.perception.describe(style)
        return torch.cat(
            [x.flatten(1) for t in targets.values() for x in (t.gram, *t.statistics)], 1
        )

    def hold(self, frames: Iterable[Tensor], style: Tensor | None, strength: float) -> None:
        """See `Stylizer`: nothing."""

    def render(
        self, content: Tensor, style: Tensor | None, strength: float, held: Any = None
    ) -> Tensor:
        """See `Stylizer`; the style's weight is multiplied by the strength.

        The content is in a style that lies between its own and the one asked for.
        """
        assert style is not None
        if strength == 0:
            return content.clone()
        if strength < 1:
            style = torch.lerp(self.describe(content), style, strength)
        targets = self._targets(content, style)
        picture = content.clone(memory_format=torch.contiguous_format).requires_grad_()
        optimizer: Any = self.make_optimizer([picture])
        # Without a style the content stays as it is: what smooths strokes must not smooth it.
        of_style = ("gram", "moments", "statistics", "total_variation")
        weights = {k: v * (strength if k in of_style else 1) for k, v in self.weights.items()}
        bar = Bar(total=self.steps, unit="step")
        for step in range(self.steps):
            seed = keyed_seed(self.seed, "shift", step)
            optimizer.step(partial(self._loss, picture, content, targets, weights, seed))
            with torch.no_grad():
                picture.clamp_(-1, 1)
            bar.update()
        bar.close()
        return picture.detach()

    def _targets(self, content: Tensor, style: Tensor) -> dict[str, StyleTarget]:
        """A style's row as the losses want it."""
        network = self.perception.network
        with torch.no_grad():
            maps = network(content[..., :16, :16])
        sizes = [size for m in maps.values() for size in (m.shape[1] ** 2, m.shape[1], m.shape[1])]
        parts = iter(style.split(sizes, 1))
        targets = {}
        for name, features in maps.items():
            gram, mean, std = (next(parts) for _ in range(3))
            count = features.shape[1]
            statistics = ChannelStatistics(mean, std)
            targets[name] = StyleTarget(gram.view(1, count, count), statistics)
        return targets

    def _loss(
        self,
        picture: Tensor,
        content: Tensor,
        targets: Mapping[str, StyleTarget],
        weights: Mapping[str, float],
        seed: int,
    ) -> Tensor:
        """The loss (eq. 7), with gradients."""
        picture.grad = None
        losses = self.perception.losses(picture, content, targets, weights, seed)
        losses["total_variation"] = total_variation(picture)
        loss = torch.stack(
            [weight * losses[name] for name, weight in weights.items() if weight]
        ).sum()
        loss.backward()
        return loss.detach()
