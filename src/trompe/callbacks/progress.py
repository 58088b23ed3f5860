"""The progress bar: how far, how fast, how much longer, and how well."""

import shutil
import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from tqdm import tqdm

from trompe.callbacks.tick_callback import TickCallback
from trompe.engine.clock import Clock
from trompe.methods.method import Method

if TYPE_CHECKING:
    from trompe.training.tick import TickRecord


_SHOWN = 3  # metrics in a line
_WINDOW = 120.0  # seconds that the rate is a mean of: over evaluations too
_BAR = 12  # characters, at least
# Of an adversarial method these say most; a method's other losses follow.
_FIRST = ("discriminator", "generator")


class Progress(TickCallback):
    """kimg of the budget, images/s, time left, the latest metric and losses.

    On a terminal it is a bar, with as many of these as there is room for; elsewhere one line a
    tick. Losses are from the last whole tick, because reading them more often would make the device
    wait; those that are 0 are left out. The rate is that of the last two minutes.

    Args:
        refresh_seconds: shortest time between two redraws.
    """

    def __init__(self, refresh_seconds: float = 0.5) -> None:
        self.refresh_seconds = refresh_seconds
        self._bar: tqdm[Any] | None = None
        self._losses: dict[str, float] = {}
        self._metrics: dict[str, float] = {}
        self._seen: deque[tuple[float, int]] = deque()  # times, and images until then
        self._drawn = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar at the run's current image count."""
        assert isinstance(pl_module, Method)
        clock = pl_module.clock
        self._seen = deque([(time.perf_counter(), clock.images)])
        if trainer.is_global_zero and sys.stderr.isatty():
            digits = _digits(clock)
            self._bar = tqdm(
                total=clock.budget_kimg,
                initial=clock.kimg,
                bar_format=f"{{bar}}| {{n:.{digits}f}}/{{total:.{digits}f}} kimg{{postfix}}",
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
        self._look(now, pl_module.clock.images)
        self._draw(pl_module)

    def on_tick_end(self, trainer: pl.Trainer, method: Method, record: "TickRecord") -> None:
        """Take over the tick's means; without a terminal, print its line."""
        losses = {
            name.removeprefix("loss/"): value
            for name, value in record.values.items()
            if name.startswith("loss/") and value
        }
        first = {name: losses[name] for name in _FIRST if name in losses}
        self._losses = first | losses
        self._metrics |= {name: record.values[name] for name in shown(record)}
        if self._bar is None and trainer.is_global_zero:
            clock = method.clock
            print(f"{_far(clock)}, {', '.join(self._parts(clock))}")

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
            clock, self._bar.ncols = method.clock, shutil.get_terminal_size().columns
            room = self._bar.ncols - _BAR - len(f"| {_far(clock)}")
            self._bar.n = clock.kimg
            self._bar.set_postfix_str(fitting(self._parts(clock), room), refresh=True)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _look(self, now: float, images: int) -> None:
        """Remember how far it is, and forget what was longer ago than the window."""
        self._seen.append((now, images))
        while len(self._seen) > 2 and self._seen[1][0] <= now - _WINDOW:
            self._seen.popleft()

    def _parts(self, clock: Clock) -> list[str]:
        began, images = self._seen[0]
        rate = (clock.images - images) / max(time.perf_counter() - began, 1e-9)
        left = (clock.budget_kimg * 1000 - clock.images) / max(rate, 1e-9)
        parts = [f"{rate:.{0 if rate >= 10 else 1}f} images/s", f"{_clock(left)} left"]
        parts += [f"{name} {value:.4g}" for name, value in self._metrics.items()]
        losses = self._losses.items()
        return parts + [f"{n} {v:.2f}" if abs(v) >= 0.1 else f"{n} {v:.2g}" for n, v in losses]


def fitting(parts: Sequence[str], room: int) -> str:
    """As many of the first parts, with commas, as fit into so many characters."""
    text = ""
    for part in parts:
        longer = f"{text}, {part}" if text else part
        if len(longer) + len(", ") > room:
            break
        text = longer
    return text


def shown(record: "TickRecord") -> list[str]:
    """The metrics that fit in a line: the one that decides, then the first of the others."""
    metrics = [name for name in record.values if "/" not in name]
    first = [record.monitor] if record.monitor in metrics else []
    return [*first, *(name for name in metrics if name not in first)][:_SHOWN]


def _far(clock: Clock) -> str:
    digits = _digits(clock)
    return f"{clock.kimg:.{digits}f}/{clock.budget_kimg:.{digits}f} kimg"


def _digits(clock: Clock) -> int:
    """Enough to tell one tick from the next."""
    return 1 if clock.images_per_tick >= 100 else 2 if clock.images_per_tick >= 10 else 3


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
