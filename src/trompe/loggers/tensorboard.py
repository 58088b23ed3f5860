"""A run in TensorBoard."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from trompe.errors import show
from trompe.loggers.tracker import Tracker
from trompe.runs.shape import flatten


class TensorBoard(Tracker):
    """Writes event files into ``tensorboard/<name>/`` of the run folder; a step is an image seen.

    TensorBoard calls a run by its folders, and takes only whole steps. The config, the group and
    the tags are hyperparameters in its table. On resuming, it is told to forget the steps after the
    resume point.
    """

    module = "tensorboard"

    def _open(self) -> None:
        from torch.utils.tensorboard import SummaryWriter

        purge_step = None if self.resume_kimg is None else self._step(self.resume_kimg) + 1
        self._writer = SummaryWriter(str(self._place()), purge_step=purge_step)
        if self.config:
            self._write_hyperparameters()
            text = yaml.safe_dump(self.config, sort_keys=False)
            # Markdown shows an indented block as code.
            self._writer.add_text("config", "    " + text.replace("\n", "\n    "))
            self._writer.flush()

    def _place(self) -> Path:
        """The folder of the run's events, one for all its sessions."""
        folder = self.folder / "tensorboard"
        place = folder / self.run_name.replace(":", "")
        known = sorted({events.parent for events in folder.glob("**/events.*")})
        if folder in known:  # of an older version
            return folder
        if known and place not in known:  # a copy of another run goes on under its own name
            known[0].rename(place)
        return place

    def _write_hyperparameters(self) -> None:
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
        from torch.utils.tensorboard.summary import hparams

        values = {"group": self.group or "", "tags": ", ".join(self.tags)}
        _, start, _ = hparams({**values, **_hyperparameters(self.config)}, {})
        kept = start.value[0].metadata.plugin_data
        content = HParamsPluginData.FromString(kept.content)
        # What TensorBoard calls a group is one line of its table, with this for its title.
        content.session_start_info.group_name = self.run_name
        kept.content = content.SerializeToString()
        file: Any = self._writer.file_writer
        file.add_summary(start)

    def _write_record(self, record: dict[str, float], kimg: float) -> None:
        for name, value in self._curves(record).items():
            self._writer.add_scalar(name, value, self._step(kimg))
        self._writer.flush()  # else the last two minutes are lost when the run is killed

    def _write_images(self, name: str, path: Path, kimg: float) -> None:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        self._writer.add_image(name, pixels, self._step(kimg), dataformats="HWC")
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
            global_step=self._step(kimg),
        )
        self._writer.flush()

    def _close(self, status: str) -> None:
        self._writer.close()


def _hyperparameters(config: dict[str, Any]) -> dict[str, float | str]:
    """What of a config says what is trained, flat."""
    found: dict[str, float | str] = {}
    for key, value in flatten(config).items():
        *sections, name = key.split(".")
        if name.startswith("_") or (sections and sections[0] not in ("data", "model")):
            continue
        if isinstance(value, str | bool):
            found[key] = show(value)
        elif isinstance(value, int | float):
            found[key] = value
    return found
