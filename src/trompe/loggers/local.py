"""A run in Trackio: a dashboard on this machine, without an account or a network."""

import contextlib
import contextvars
import io
import os
import sys
from pathlib import Path
from types import ModuleType

from trompe.loggers.tracker import Tracker
from trompe.paths import expand


def trackio_in(store: Path) -> ModuleType:
    """The package, keeping its data in `store`.

    Trackio reads ``TRACKIO_DIR`` once, when it is imported, so another store needs another import.
    """
    utils = sys.modules.get("trackio.utils")
    if utils is not None and store != utils.TRACKIO_DIR:
        for name in [name for name in sys.modules if name.split(".")[0] == "trackio"]:
            del sys.modules[name]
    before = os.environ.get("TRACKIO_DIR")
    os.environ["TRACKIO_DIR"] = str(store)
    try:
        import trackio
    finally:
        if before is None:
            del os.environ["TRACKIO_DIR"]
        else:
            os.environ["TRACKIO_DIR"] = before
    return trackio


class Local(Tracker):
    """Shows the run in Trackio: ``trompe dashboard``.

    A background thread writes records to a sqlite file every half second, so a killed run leaves
    a readable store. Trackio takes only whole steps: a step is an image seen. ``kimg`` is recorded
    as the horizontal axis (``x_axis=kimg`` in the address); no other count is. Tags are an entry of
    the config.

    Args:
        project: Trackio project.
        run_name: name of a new run, unique in the project; a resumed one keeps the name it has.
        save_dir: the run folder.
        run_id: Trackio's id of the session that is resumed.
        store: folder of the database and of copies of the pictures, shared by all runs.
        system_metrics: also record the load of CPU and GPU, every 10 s (Trackio's default).
    """

    module = "trackio"

    def __init__(
        self,
        project: str,
        run_name: str,
        save_dir: Path | str,
        run_id: str | None = None,
        *,
        store: Path | str,
        system_metrics: bool = False,
    ) -> None:
        super().__init__(project, run_name, save_dir, run_id)
        self.store = expand(store, "paths.store").absolute()
        self.system_metrics = system_metrics

    def _open(self) -> None:
        self._package = trackio_in(self.store)
        # None lets Trackio record what it finds, a GPU only if there is one.
        automatic = None if self.system_metrics else False
        # Trackio's current run is a context variable: in a context of its own, this run neither
        # ends another one nor is ended, with a banner, at the exit of the process.
        with contextlib.redirect_stdout(io.StringIO()):
            self._run = contextvars.copy_context().run(
                self._package.init,
                project=self.project,
                name=self._name(),
                group=self.group,
                config={**self.config, "tags": ", ".join(self.tags)} if self.tags else self.config,
                resume="never" if self.run_id is None else "allow",
                embed=False,
                auto_log_cpu=automatic,
                auto_log_gpu=automatic,
            )
        self.run_id = self._run.id

    def _name(self) -> str:
        """The name that the run has in the store: Trackio finds it by that, not by its id."""
        if self.run_id is not None:
            with contextlib.suppress(ValueError):  # there is no such project
                for run in self._package.Api().runs(self.project):
                    if run.id == self.run_id:
                        self.run_name = run.name
        return self.run_name

    def _write_record(self, record: dict[str, float], kimg: float) -> None:
        self._run.log({**self._curves(record), "kimg": kimg}, step=self._step(kimg))

    def _write_images(self, name: str, path: Path, kimg: float) -> None:
        image = self._package.Image(str(path), caption=f"{kimg:g} kimg")
        self._run.log({name: image}, step=self._step(kimg))

    def _write_histogram(
        self, name: str, counts: list[int], edges: list[float], kimg: float
    ) -> None:
        histogram = self._package.Histogram(np_histogram=(counts, edges))
        self._run.log({name: histogram}, step=self._step(kimg))

    def _close(self, status: str) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            self._run.finish()


class LocalIfInstalled(Local):
    """The default: `Local`, but a run goes on without it where Trackio is not installed."""

    is_required = False
