"""Grids of the same latents, drawn again and again while the generator learns."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from trompe.engine.randomness import keyed_generator
from trompe.errors import check_count, check_positive
from trompe.images import save_grid
from trompe.methods.method import Method


class SampleGrid(pl.Callback):
    """Saves `samples/<kimg>.png` in the run folder and hands it to the trackers.

    `samples/real.png` shows as many training images beside them.

    Args:
        every_kimg: thousands of images between two grids.
        count: images in a grid.

    Raises:
        UserError: if one of them is not above 0.
    """

    def __init__(self, every_kimg: float, count: int) -> None:
        check_positive("callbacks.samples.every_kimg", every_kimg)
        check_count("callbacks.samples.count", count)
        self.every_kimg = every_kimg
        self.count = count

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the real images, once."""
        path = Path(trainer.default_root_dir) / "samples" / "real.png"
        if not trainer.is_global_zero or path.exists():
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        size = data.split_size("train")
        order = torch.randperm(size, generator=keyed_generator(0, "real grid"))
        save_grid(data.gather("train", order[: self.count]).images, path)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw a grid if it is time."""
        assert isinstance(pl_module, Method)
        if not (trainer.is_global_zero and pl_module.clock.is_due(self.every_kimg)):
            return
        images, columns = pl_module.draw_grid(trainer.datamodule, self.count)  # type: ignore[attr-defined]
        kimg = pl_module.clock.kimg
        path = Path(trainer.default_root_dir) / "samples" / f"{kimg:09.3f}.png"
        save_grid(images, path, columns)
        for tracker in trainer.loggers:
            tracker.log_images("samples", path, kimg)  # type: ignore[attr-defined]
