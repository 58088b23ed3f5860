"""A run in TensorBoard."""

from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from trompe.loggers.tracker import Tracker


class TensorBoard(Tracker):
    """Writes event files into ``tensorboard/`` of the run folder; the step axis is kimg, rounded.

    TensorBoard takes only whole steps, so ticks shorter than 1 kimg share a step; the exact value
    is the scalar ``kimg``. On resuming, TensorBoard is told to forget the steps after the resume
    point.
    """

    module = "tensorboard"

    def _open(self) -> None:
        from torch.utils.tensorboard import SummaryWriter

        purge_step = None if self.resume_kimg is None else round(self.resume_kimg) + 1
        self._writer = SummaryWriter(str(self.folder / "tensorboard"), purge_step=purge_step)
        if self.config:
            text = yaml.safe_dump(self.config, sort_keys=False)
            # Markdown shows an indented block as code.
            self._writer.add_text("config", "    " + text.replace("\n", "\n    "))
            self._writer.flush()

    def _write_record(self, record: dict[str, float], kimg: float) -> None:
        for name, value in record.items():
            self._writer.add_scalar(name, value, round(kimg))
        self._writer.flush()  # else the last two minutes are lost when the run is killed

    def _write_images(self, name: str, path: Path, kimg: float) -> None:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        self._writer.add_image(name, pixels, round(kimg), dataformats="HWC")
        self._writer.flush()

    def _write_histogram(
        self, name: str, counts: list[int], edges: list[float], kimg: float
    ) -> None:
        weights = np.asarray(counts, dtype=np.float64)
        limits = np.asarray(edges, dtype=np.float64)
        centers = (limits[:-1] + limits[1:]) / 2
        self._writer.add_histogram_raw(
            name,
            min=limits[0],
            max=limits[-1],
            num=int(weights.sum()),
            # The values themselves are gone: moments come from the bins' centers.
            sum=float(weights @ centers),
            sum_squares=float(weights @ centers**2),
            bucket_limits=limits[1:].tolist(),
            bucket_counts=weights.tolist(),
            global_step=round(kimg),
        )
        self._writer.flush()

    def _close(self, status: str) -> None:
        self._writer.close()
