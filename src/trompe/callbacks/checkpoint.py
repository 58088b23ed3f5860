"""A checkpoint at the end of every tick: `last.ckpt`, and `best.ckpt` by a metric."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from trompe.errors import UserError
from trompe.methods.method import Method
from trompe.runs.run_folder import RunFolder


class TickCheckpoint(Checkpoint):
    """Lightning calls `Checkpoint` callbacks after all others, so the tick's record is whole.

    Args:
        run: the run folder.
        config: the resolved config, kept in every checkpoint as plain values.
        tracked: whether ``"higher"`` or ``"lower"`` is better, of each metric that is tracked.
        monitor: the one of them that decides on the best checkpoint; ``"auto"`` is the first;
            None keeps no best.
        mode: whether the best is the ``"min"`` or the ``"max"`` of it; ``"auto"`` takes the better.

    Raises:
        UserError: if there is no such metric or mode.
    """

    def __init__(
        self,
        run: RunFolder,
        config: dict,
        tracked: Mapping[str, str],
        monitor: str | None,
        mode: str,
    ) -> None:
        if monitor == "auto":
            monitor = next(iter(tracked), None)
        if monitor is not None and monitor not in tracked:
            known = ", ".join([*tracked, "auto", "null"])
            raise UserError(f"checkpoint.monitor={monitor} is not tracked: choose one of {known}")
        if mode not in ("auto", "min", "max"):
            raise UserError(f"checkpoint.mode={mode} is neither auto, min nor max")
        if mode == "auto":
            mode = "max" if monitor and tracked[monitor] == "higher" else "min"
        self._run = run
        self._config = config
        self._monitor = monitor
        self._sign = 1 if mode == "min" else -1
        self.best: dict[str, Any] | None = None

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the tick that has ended."""
        assert isinstance(pl_module, Method)
        value = pl_module.scalars.get(self._monitor) if self._monitor else None
        is_best = value is not None and (
            self.best is None or self._sign * value < self._sign * self.best["value"]
        )
        if is_best:
            self.best = {"metric": self._monitor, "value": value, "kimg": pl_module.clock.kimg}
        trainer.save_checkpoint(self._run.last_checkpoint)
        if trainer.is_global_zero and is_best:
            _replace_by_link(self._run.last_checkpoint, self._run.best_checkpoint)
            self._run.update_facts(best=self.best)

    def state_dict(self) -> dict[str, Any]:
        """The best value so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on comparing with the best value so far."""
        self.best = state_dict["best"]

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the plain config, so that a checkpoint can be read on its own."""
        checkpoint["config"] = self._config


def _replace_by_link(source: Path, target: Path) -> None:
    """Let `target` be the file that `source` is now; `source` is later replaced, not changed."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    os.replace(temporary, target)
