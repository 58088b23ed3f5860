"""What happens at the end of every tick, and only there, in one visible order."""

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint

from trompe.callbacks.tick_callback import TickCallback
from trompe.engine.share import check_alike, level_batch_norms
from trompe.errors import UserError
from trompe.files import whole_path
from trompe.loggers.tracker import Tracker
from trompe.methods.method import Method
from trompe.metrics.evaluation import Evaluation
from trompe.runs.run_folder import RunFolder, utc_now
from trompe.runs.tensors import SumsFile
from trompe.training.best import Best
from trompe.training.samples import SampleGrid


@dataclass
class TickRecord:
    """The results of one tick.

    Args:
        tick: its number, from 1.
        kimg: thousands of images seen.
        values: by name: means over the tick, speeds, metrics where they were due.
        histograms: by name, values of the tick's last batch.
        pictures: by name, what was drawn.
        monitor: the value that decides on the best tick, if there is one.
    """

    tick: int
    kimg: float
    values: dict[str, float]
    histograms: dict[str, np.ndarray] = field(default_factory=dict)
    pictures: dict[str, Path] = field(default_factory=dict)
    monitor: str | None = None


class Tick(Checkpoint):
    """Ends the ticks of one run. Lightning calls `Checkpoint`s after all other callbacks.

    Args:
        run: the run folder.
        config: the resolved config, kept in every checkpoint as plain values.
        evaluation: what is measured.
        samples: what is drawn; None draws nothing.
        best: which tick was the best.
        trackers: views of the run, by their name in the config.
    """

    def __init__(
        self,
        run: RunFolder,
        config: dict[str, Any],
        evaluation: Evaluation,
        samples: SampleGrid | None,
        best: Best,
        trackers: Mapping[str, Tracker],
    ) -> None:
        self.run = run
        self.config = config
        self.evaluation = evaluation
        self.samples = samples
        self.best = best
        self.trackers = trackers
        self._sums = SumsFile(run.tensors_file)
        self._began = self._ended = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The tick has ended: read, evaluate, draw, write, tell, save.

        What is told and not saved is void when the run resumes; what were saved and not told would
        be missing in the trackers for ever. So the checkpoint comes last.
        """
        method, data = _method(pl_module), _data(trainer)
        clock, share, is_writer = method.clock, method.share, trainer.is_global_zero

        record = self.read(method)
        if self.evaluation.metrics and clock.is_due(self.evaluation.every_kimg):
            record.values |= self.evaluation.run(method, data, share)
        if self.samples is not None and is_writer and self.is_drawn(method):
            record.pictures |= self.draw(method, data)
        now = time.perf_counter()
        record.values["speed/tick_seconds"], self._ended = now - self._ended, now
        if is_writer:
            values = {"kimg": record.kimg, "tick": record.tick, **record.values}
            self.run.append_metrics({**values, "time": utc_now()})
            self._sums.append(record.kimg, method.state_dict())
            self.run.update_facts(kimg=record.kimg)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, TickCallback):
                callback.on_tick_end(trainer, method, record)
        if is_writer:
            self.tell(record)
        is_best = self.best.is_beaten(record.values, record.kimg)
        trainer.save_checkpoint(self.run.last_checkpoint)
        if is_writer and is_best:
            self.keep_best()
        if method.is_settled:
            trainer.should_stop = True

    def keep_best(self) -> None:
        """The last checkpoint is the best: keep it, and say so."""
        _replace_by_link(self.run.last_checkpoint, self.run.best_checkpoint)
        self.run.update_facts(best=self.best.found)

    def read(self, method: Method) -> TickRecord:
        """The tick's means; the only time the host waits for the device. Collective.

        Raises:
            UserError: saying at which kimg a loss was first NaN or infinite, or weights were. The
                previous tick's checkpoint is then the last one.
        """
        clock = method.clock
        read = method.means.read(method.share)
        level_batch_norms(method, method.share)
        check_alike(method, method.share)
        seconds = time.perf_counter() - self._began
        what = None
        if read.bad_images is not None:
            what = f"a loss became NaN or infinite at {read.bad_images / 1000:.3f} kimg"
        elif not is_finite(method):
            what = f"weights became NaN or infinite before {clock.kimg:.3f} kimg"
        if what is not None:
            kept = self.run.last_checkpoint.is_file()
            left = "the previous tick's checkpoint is kept" if kept else "there is no checkpoint"
            raise UserError(f"{what}; {left}: try smaller learning rates or another model.loss")
        values = {
            **read.means,
            "speed/images_per_second": clock.images_per_tick / seconds,
            "speed/train_seconds": seconds,
        }
        record = TickRecord(clock.tick, clock.kimg, values, read.histograms)
        record.monitor = self.best.monitor
        return record

    def is_drawn(self, method: Method) -> bool:
        """Whether this tick has a grid: the first has one, to look at within the first minute."""
        assert self.samples is not None
        return method.clock.tick == 1 or method.clock.is_due(self.samples.every_kimg)

    def draw(self, method: Method, data: Any) -> dict[str, Path]:
        """The pictures of this tick, by name."""
        assert self.samples is not None
        path = self.samples.draw(method, data, self.run.path)
        return {} if path is None else {"samples": path}

    def tell(self, record: TickRecord) -> None:
        """Show every tracker the tick."""
        values = {"kimg": record.kimg, "tick": record.tick, **record.values}
        for tracker in self.trackers.values():
            tracker.log_record(values, record.kimg)
            for name, path in record.pictures.items():
                tracker.log_images(name, path, record.kimg)
            for name, numbers in record.histograms.items():
                counts, edges = np.histogram(numbers, bins=32)
                tracker.log_histogram(name, counts.tolist(), edges.tolist(), record.kimg)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prepare the metrics, tell the trackers where the run stands, draw its beginning."""
        method, data = _method(pl_module), _data(trainer)
        if not trainer.is_global_zero:
            trainer.strategy.barrier("metrics")  # the first process fills the cache
        protocols = self.evaluation.prepare(data, method.device, method.seed)
        if not trainer.is_global_zero:
            return
        trainer.strategy.barrier("metrics")
        kimg = method.clock.kimg
        known = self.run.read_facts().get("trackers", {})
        for name, tracker in self.trackers.items():
            if kimg or name in known:
                tracker.resume_at(kimg)
            tracker.log_config(self.config)
        ids = {name: tracker.tracker_id for name, tracker in self.trackers.items()}
        self.run.update_facts(protocols=protocols, trackers={**known, **ids})
        if kimg and self.best.found is not None and self.best.found["kimg"] == kimg:
            self.keep_best()  # as the session before may have not: it was killed, or the disk full
        if self.samples is not None:
            self.samples.draw_real(method, data, self.run.path)
            if not kimg:
                for name, path in self.draw(method, data).items():
                    for tracker in self.trackers.values():
                        tracker.log_images(name, path, kimg)
        self._ended = time.perf_counter()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The tick begins."""
        self._began = time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        """The best value so far."""
        return {"best": self.best.found}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Compare with the best value so far."""
        self.best.found = state_dict["best"]

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the plain config, so that a checkpoint can be read on its own."""
        checkpoint["config"] = self.config


def is_finite(method: Method) -> bool:
    """Whether every weight and buffer is a finite number. Waits for the device."""
    tensors = [t for t in (*method.parameters(), *method.buffers()) if t.is_floating_point()]
    # A sum in float16 would end at 65504.
    sums = [t.detach().sum(dtype=torch.promote_types(t.dtype, torch.float32)) for t in tensors]
    return bool(torch.stack(sums).isfinite().all())


def _replace_by_link(source: Path, target: Path) -> None:
    """Let `target` be the file that `source` is now; `source` is later replaced, not changed."""
    if target.exists() and target.samefile(source):
        return  # renaming a link to what it links to does nothing, and would leave it there
    with whole_path(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:  # not every disk has links
            shutil.copyfile(source, temporary)


def _method(module: pl.LightningModule) -> Method:
    assert isinstance(module, Method)
    return module


def _data(trainer: pl.Trainer) -> Any:
    return trainer.datamodule  # type: ignore[attr-defined]
