"""Metrics of the averaged generator at intervals on the image clock."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from trompe.engine.randomness import keyed_generator
from trompe.images import to_uint8
from trompe.methods.base import Method


class Evaluation(pl.Callback):
    """Computes every configured metric and adds its value to the tick's record.

    The images are drawn from latents that depend on the seed alone, so the same weights give the
    same value at any time and with any number of processes.

    Args:
        metrics: metrics by name, each with `prepare(data)`, `update(images)`, `compute()`,
            `reset()`, `n_images` and `protocol()`.
        every_kimg: thousands of images between two evaluations.
        batch_size: images generated at once by one process.
    """

    def __init__(self, metrics: Mapping[str, Any], every_kimg: float, batch_size: int) -> None:
        self.metrics = dict(metrics)
        self.every_kimg = every_kimg
        self.batch_size = batch_size

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prepare the reference statistics (cached by content)."""
        assert isinstance(pl_module, Method)
        for name, metric in self.metrics.items():
            metric.to(pl_module.device)
            if not trainer.is_global_zero:
                trainer.strategy.barrier(name)  # the first process fills the cache
            metric.prepare(trainer.datamodule)  # type: ignore[attr-defined]
            if trainer.is_global_zero:
                trainer.strategy.barrier(name)
            pl_module.protocols[name] = {**metric.protocol(), "seed": pl_module.seed}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Evaluate if it is time."""
        assert isinstance(pl_module, Method)
        if self.metrics and pl_module.clock.is_due(self.every_kimg):
            pl_module.scalars.update(self.evaluate(pl_module, trainer))

    def evaluate(self, method: Method, trainer: pl.Trainer) -> dict[str, float]:
        """All metrics' values for the averaged generator. Collective."""
        count = max(metric.n_images for metric in self.metrics.values())
        generator = keyed_generator(method.seed, "evaluation")
        latents = torch.randn(count, method.latent_dim, generator=generator)
        mine = torch.arange(trainer.global_rank, count, trainer.world_size)
        for metric in self.metrics.values():
            metric.reset()
        for indices in mine.split(self.batch_size):
            images = self._generate(method, latents[indices])
            for metric in self.metrics.values():
                metric.update(images[indices < metric.n_images])
        return {name: float(metric.compute()) for name, metric in self.metrics.items()}

    def _generate(self, method: Method, latents: Tensor) -> Tensor:
        return to_uint8(method.sample(latents.to(method.device)))
