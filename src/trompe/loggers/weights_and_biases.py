"""A run in Weights & Biases, online or as files to upload later."""

from pathlib import Path
from typing import Literal

import numpy as np

from trompe.errors import UserError
from trompe.loggers.tracker import Tracker

_LONGEST_TAG = 64  # characters, by W&B's rule


class WeightsAndBiases(Tracker):
    """Shows the run at wandb.ai, or keeps it in ``wandb/`` of the run folder for ``wandb sync``.

    Every curve has kimg as its horizontal axis. A resumed run has the same W&B run id, so it
    continues the same curves; offline, each session is a folder of its own with that id. Tags that
    were added there stay.

    Args:
        project: W&B project.
        run_name: display name of the run.
        save_dir: the run folder.
        run_id: W&B run id of the session that is resumed.
        mode: ``"online"`` needs ``wandb login`` once; ``"offline"`` needs neither account nor
            network.
        entity: W&B team or user; None is the account's default.
    """

    module = "wandb"

    def __init__(
        self,
        project: str,
        run_name: str,
        save_dir: Path | str,
        run_id: str | None = None,
        mode: Literal["online", "offline"] = "online",
        entity: str | None = None,
    ) -> None:
        super().__init__(project, run_name, save_dir, run_id)
        self.mode = mode
        self.entity = entity

    def _open(self) -> None:
        import wandb

        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._run = wandb.init(
                project=self.project,
                name=self.run_name,
                id=self.run_id,
                group=self.group,
                entity=self.entity,
                dir=str(self.folder),
                mode=self.mode,
                resume="allow",
                # Offline, the notices say only what the run folder says already.
                settings=wandb.Settings(silent=self.mode == "offline"),
            )
        except wandb.Error as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise UserError(
                f"W&B could not start a run in project {self.project!r} ({reason}): "
                "run `wandb login` once, or choose logger=wandb_offline"
            ) from error
        self.run_id = self._run.id
        known = self._run.tags or ()  # of the session that is resumed, and what people added
        tags = dict.fromkeys((*known, *(tag[:_LONGEST_TAG] for tag in self.tags)))
        if len(tags) > len(known):
            self._run.tags = tuple(tags)
        self._run.config.update(self.config, allow_val_change=True)
        self._run.define_metric("kimg", hidden=True)
        self._run.define_metric("*", step_metric="kimg")

    def _write_record(self, record: dict[str, float], kimg: float) -> None:
        self._run.log({**self._curves(record), "kimg": kimg})

    def _write_images(self, name: str, path: Path, kimg: float) -> None:
        import wandb

        self._run.log({name: wandb.Image(str(path), caption=f"{kimg:g} kimg"), "kimg": kimg})

    def _write_histogram(
        self, name: str, counts: list[int], edges: list[float], kimg: float
    ) -> None:
        import wandb

        histogram = wandb.Histogram(np_histogram=(np.asarray(counts), np.asarray(edges)))
        self._run.log({name: histogram, "kimg": kimg})

    def _close(self, status: str) -> None:
        self._run.finish(exit_code=0 if status == "done" else 1)
