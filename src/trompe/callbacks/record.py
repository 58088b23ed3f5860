"""One record a tick: into metrics.jsonl, and from there to every tracker."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytorch_lightning as pl

from trompe.errors import UserError
from trompe.loggers.tracker import Tracker
from trompe.methods.method import Method
from trompe.runs.run_folder import RunFolder, utc_now


class BeginRecord(pl.Callback):
    """First of the tick's callbacks: reads the averages and stops a run that has diverged.

    Args:
        run: the run folder.

    Raises:
        UserError: saying at which kimg a loss was first NaN or infinite, or weights were. The
            checkpoint of the tick before is then the last one.
    """

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._start = time.perf_counter()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The tick begins."""
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read what was tracked and time the tick."""
        method = _method(pl_module)
        method.end_tick()
        seconds = time.perf_counter() - self._start
        what = None
        if method.bad_images is not None:
            what = f"a loss became NaN or infinite at {method.bad_images / 1000:.3f} kimg"
        elif not method.is_finite():
            what = f"weights became NaN or infinite before {method.clock.kimg:.3f} kimg"
        if what is not None:
            kept = self._run.last_checkpoint.is_file()
            left = "the checkpoint of the tick before is kept" if kept else "there is no checkpoint"
            raise UserError(f"{what}; {left}: try smaller learning rates or another model.loss")
        method.scalars["speed/images_per_second"] = method.clock.images_per_tick / seconds
        method.scalars["speed/train_seconds"] = seconds


class Record(pl.Callback):
    """Last of the tick's callbacks before the checkpoint: writes the line and feeds the trackers.

    Args:
        run: the run folder.
        config: the resolved config, for the trackers.
        trackers: views of the run, by their name in the config.
    """

    def __init__(self, run: RunFolder, config: dict, trackers: Mapping[str, Tracker]) -> None:
        self._run = run
        self._config = config
        self._trackers = trackers
        self._last = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give every tracker the config and tell it where the run stands."""
        self._last = time.perf_counter()
        if not trainer.is_global_zero:
            return
        kimg = _method(pl_module).clock.kimg
        self._run.update_facts(protocols=_method(pl_module).protocols)
        for tracker in self._trackers.values():
            if kimg:
                tracker.resume_at(kimg)
            tracker.log_config(self._config)
        ids = {name: tracker.tracker_id for name, tracker in self._trackers.items()}
        self._run.update_facts(trackers={**self._run.read_facts().get("trackers", {}), **ids})

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the tick."""
        method = _method(pl_module)
        clock = method.clock
        method.scalars["speed/tick_seconds"] = time.perf_counter() - self._last
        self._last = time.perf_counter()
        if not trainer.is_global_zero:
            return
        record: dict[str, Any] = {"kimg": clock.kimg, "tick": clock.tick, **method.scalars}
        self._run.append_metrics({**record, "time": utc_now()})
        self._run.update_facts(kimg=clock.kimg)
        for tracker in self._trackers.values():
            tracker.log_record(record, clock.kimg)
            for name, values in method.histograms.items():
                counts, edges = np.histogram(values, bins=32)
                tracker.log_histogram(name, counts.tolist(), edges.tolist(), clock.kimg)


def _method(module: pl.LightningModule) -> Method:
    assert isinstance(module, Method)
    return module
