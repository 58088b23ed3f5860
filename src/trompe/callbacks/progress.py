"""The progress bar: how far, how fast, how much longer, and how well."""

import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from tqdm import tqdm

from trompe.callbacks.tick_callback import TickCallback
from trompe.methods.method import Method

if TYPE_CHECKING:
    from trompe.training.tick import TickRecord


_SHOWN = 3  # metrics in a line


class Progress(TickCallback):
    """kimg of the budget, images/s, time left, losses and the latest metric.

    On a terminal it is a bar; elsewhere one line a tick. Losses are from the last whole tick,
    because reading them more often would make the device wait.

    Args:
        refresh_seconds: shortest time between two redraws.
    """

    def __init__(self, refresh_seconds: float = 0.5) -> None:
        self.refresh_seconds = refresh_seconds
        self._bar: tqdm[Any] | None = None
        self._notes: dict[str, str] = {}
        self._began = (0.0, 0)
        self._drawn = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar at the run's current image count."""
        assert isinstance(pl_module, Method)
        clock = pl_module.clock
        self._began = (time.perf_counter(), clock.images)
        if trainer.is_global_zero and sys.stderr.isatty():
            self._bar = tqdm(
                total=clock.budget_kimg,
                initial=clock.kimg,
                bar_format="{bar}| {n:.1f}/{total:.1f} kimg{postfix}",
                ncols=shutil.get_terminal_size().columns,
            )

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Redraw if the last redraw was long enough ago."""
        now = time.perf_counter()
        if now - self._drawn < self.refresh_seconds:
            return
        assert isinstance(pl_module, Method)
        self._drawn = now
        self._draw(pl_module)

    def on_tick_end(self, trainer: pl.Trainer, method: Method, record: "TickRecord") -> None:
        """Take over the tick's means; without a terminal, print its line."""
        for name, value in record.values.items():
            if name.startswith("loss/"):
                self._notes[name.replace("loss/", "")[0].upper()] = f"{value:.2f}"
        for name in shown(record):
            self._notes[name] = f"{record.values[name]:.4g}"
        if self._bar is None and trainer.is_global_zero:
            clock = method.clock
            print(f"{clock.kimg:.1f}/{clock.budget_kimg:.1f} kimg, {self._status(method)}")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar."""
        assert isinstance(pl_module, Method)
        self._draw(pl_module)
        self._close()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Leave the terminal clean."""
        self._close()

    def _draw(self, method: Method) -> None:
        if self._bar is not None:
            # The width now; 80 if the terminal does not report one.
            self._bar.ncols = shutil.get_terminal_size().columns
            self._bar.n = method.clock.kimg
            self._bar.set_postfix_str(self._status(method), refresh=True)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _status(self, method: Method) -> str:
        seconds = time.perf_counter() - self._began[0]
        images = method.clock.images - self._began[1]
        rate = images / max(seconds, 1e-9)
        left = (method.clock.budget_kimg * 1000 - method.clock.images) / max(rate, 1e-9)
        parts = [f"{rate:.0f} images/s", f"{_clock(left)} left"]
        parts += [f"{name} {value}" for name, value in self._notes.items()]
        return ", ".join(parts)


def shown(record: "TickRecord") -> list[str]:
    """The metrics that fit in a line: the one that decides, then the first of the others."""
    metrics = [name for name in record.values if "/" not in name]
    first = [record.monitor] if record.monitor in metrics else []
    return [*first, *(name for name in metrics if name not in first)][:_SHOWN]


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
