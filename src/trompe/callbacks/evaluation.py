"""Metrics of the averaged generator at intervals on the image clock."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_only, rank_zero_warn

from trompe.errors import UserError, check_positive
from trompe.images import to_uint8
from trompe.methods.method import Method
from trompe.metrics.comparison import Comparison
from trompe.metrics.score import Score

# Images generated at once. Fixed, and dealt to processes whole, because rounding depends on what
# shares a batch: so values are the same with any number of processes, in training and after.
BLOCK = 64


class Evaluation(pl.Callback):
    """Computes every configured metric and adds its value to the tick's record.

    Args:
        metrics: comparisons by name.
        every_kimg: thousands of images between two evaluations.

    Raises:
        UserError: if that is not above 0.
    """

    def __init__(self, metrics: Mapping[str, Comparison], every_kimg: float) -> None:
        check_positive("callbacks.evaluation.every_kimg", every_kimg)
        self.metrics = dict(metrics)
        self.every_kimg = every_kimg
        self._said: set[str] = set()

    @property
    def directions(self) -> dict[str, str]:
        """Whether ``"higher"`` or ``"lower"`` is better, of each value by its name in a record."""
        return {k: v for metric in self.metrics.values() for k, v in metric.directions().items()}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prepare the references (cached by content)."""
        assert isinstance(pl_module, Method)
        for name, metric in self.metrics.items():
            metric.to(pl_module.device)
            if not trainer.is_global_zero:
                trainer.strategy.barrier(name)  # the first process fills the cache
            metric.prepare(trainer.datamodule)  # type: ignore[attr-defined]
            if trainer.is_global_zero:
                trainer.strategy.barrier(name)
            for measure, why in metric.undefined.items():
                raise UserError(f"metrics.{name}.measures: {measure} cannot be tracked: {why}")
            for value, protocol in metric.protocols().items():
                pl_module.protocols[value] = {**protocol, "seed": pl_module.seed}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Evaluate if it is time."""
        assert isinstance(pl_module, Method)
        if self.metrics and pl_module.clock.is_due(self.every_kimg):
            scores = self._evaluate(trainer, pl_module)
            pl_module.scalars.update({name: score.value for name, score in scores.items()})
            self._say({score.note for score in scores.values() if score.note})

    def _evaluate(self, trainer: pl.Trainer, method: Method) -> dict[str, Score]:
        data = trainer.datamodule  # type: ignore[attr-defined]
        return evaluate(method, self.metrics, data, trainer.global_rank, trainer.world_size)

    @rank_zero_only
    def _say(self, notes: set[str]) -> None:
        for note in sorted(notes - self._said):
            rank_zero_warn(note)
        self._said |= notes


def evaluate(
    method: Method,
    metrics: Mapping[str, Comparison],
    data: Any,
    rank: int = 0,
    world_size: int = 1,
) -> dict[str, Score]:
    """All metrics' scores for the averaged generator. Collective.

    The images are made from inputs that depend on data and seed alone, so the same weights give
    the same values at any time and with any number of processes.
    """
    count = max(metric.n_images for metric in metrics.values())
    inputs = method.draw_inputs(data, count, "evaluation")
    for metric in metrics.values():
        metric.reset()
    for numbers in torch.arange(count).split(BLOCK)[rank::world_size]:
        images = to_uint8(method.sample(inputs[numbers].to(method.device)))
        for metric in metrics.values():
            kept = numbers[numbers < metric.n_images]
            metric.update(images[: len(kept)], kept, inputs[kept])
    return {name: score for metric in metrics.values() for name, score in metric.compute().items()}
