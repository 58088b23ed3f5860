"""What every tracker can do: show a run's numbers and pictures against images seen, in kimg.

The run folder is the truth; a tracker is a view of it, and a run without one is complete.
"""

from abc import abstractmethod
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only, rank_zero_warn

from trompe.runs.summary import CLOCK


class Tracker(Logger):
    """A view of one run in one dashboard, written by rank 0 only, once a tick.

    Construction touches neither disk nor network: the backend is opened by the first call that
    logs something. `log_config` comes before any record, because some backends take it only when
    they are opened. A closed tracker that is given more is opened again and continues its run.

    A subclass says how to open and close its backend and how to write a record; pictures and
    histograms are dropped unless it says how to write those too.

    Args:
        project: the name under which a dashboard groups runs.
        run_name: the name of this run, unique within the project.
        save_dir: the run folder.
        run_id: the `tracker_id` of the session that is resumed, or None for a new run.

    Attributes:
        module: what must be installed for it, if anything.
        is_required: whether a run is refused where that is missing; else it goes on without it.
        group: what the run belongs to, its sweep or its experiment.
        tags: by which a dashboard can find the run.
        images_per_step: of backends that count whole steps, how many images one is; a run that was
            begun with another number goes on with it.
    """

    module: ClassVar[str | None] = None
    is_required: ClassVar[bool] = True
    images_per_step = 1

    def __init__(
        self, project: str, run_name: str, save_dir: Path | str, run_id: str | None = None
    ) -> None:
        super().__init__()
        self.project = project
        self.run_name = run_name
        self.run_id = run_id
        self.folder = Path(save_dir)
        self.group: str | None = None
        self.tags: tuple[str, ...] = ()
        self.config: dict[str, Any] = {}
        self.resume_kimg: float | None = None
        self._is_open = False
        self._has_warned = False

    @property
    def name(self) -> str:
        """The project."""
        return self.project

    @property
    def version(self) -> str:
        """The run's name."""
        return self.run_name

    @property
    def save_dir(self) -> str:
        """The run folder."""
        return str(self.folder)

    @property
    def tracker_id(self) -> str | None:
        """What to pass as `run_id` to resume this run; None if its folder is enough.

        A backend that gives out the id itself has one from `log_config` on.
        """
        return self.run_id

    def sort_under(self, group: str, tags: Sequence[str]) -> None:
        """Show the run in a group and with tags, as far as the backend can.

        To be called before the first log.
        """
        self.group = group
        self.tags = tuple(tags)

    def resume_at(self, kimg: float) -> None:
        """Training resumes at `kimg`: what an earlier session logged beyond it is void.

        To be called before the first log. Backends that cannot forget keep the voided points,
        which the resumed run repeats.
        """
        self.resume_kimg = kimg

    @rank_zero_only
    def log_config(self, config: dict[str, Any]) -> None:
        """Show the resolved configuration, a plain nested dict, and open the backend.

        Raises:
            RuntimeError: if something else has been logged before.
        """
        if self._is_open:
            raise RuntimeError("log_config must come before everything else that is logged")
        self.config = config
        self._opened()

    @rank_zero_only
    def log_record(self, scalars: dict[str, float], kimg: float) -> None:
        """Add a point at `kimg` to the curve of each scalar."""
        self._opened()
        self._write_record({**scalars, "kimg": kimg}, kimg)

    @rank_zero_only
    def log_images(self, name: str, path: Path | str, kimg: float) -> None:
        """Show the PNG file at `path`, a grid of samples drawn at `kimg`."""
        self._opened()
        self._write_images(name, Path(path), kimg)

    @rank_zero_only
    def log_histogram(self, name: str, counts: list[int], edges: list[float], kimg: float) -> None:
        """Show a histogram at `kimg`: `counts[i]` values lie in `[edges[i], edges[i + 1])`.

        Raises:
            ValueError: if there is not exactly one edge more than counts.
        """
        if len(edges) != len(counts) + 1:
            raise ValueError(f"{len(counts)} counts need {len(counts) + 1} edges, not {len(edges)}")
        self._opened()
        self._write_histogram(name, counts, edges, kimg)

    @rank_zero_only
    def close(self, status: str) -> None:
        """Flush everything; `status` is how the run ended: done, failed or interrupted."""
        if self._is_open:
            self._close(status)
            self._is_open = False

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Lightning's entry: a record that must hold its own ``kimg``; `step` is not used.

        Lightning's step counts optimizer steps, which is not an honest clock (it advances twice a
        batch), so a record without ``kimg`` is dropped with one warning.
        """
        if "kimg" in metrics:
            self.log_record(metrics, metrics["kimg"])
        elif metrics and not self._has_warned:
            self._has_warned = True
            rank_zero_warn(f"not shown in trackers, since `kimg` is missing: {', '.join(metrics)}")

    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """Lightning's entry, not used: the whole resolved config comes by `log_config`."""

    def _step(self, kimg: float) -> int:
        """Where a point at `kimg` stands, of a backend that counts whole steps."""
        return round(1000 * kimg / self.images_per_step)

    def _opened(self) -> None:
        if not self._is_open:
            self._open()
            self._is_open = True
            self.resume_kimg = None

    @abstractmethod
    def _open(self) -> None:
        """Open the backend, showing `config`, resuming `run_id` and voiding `resume_kimg`."""

    @abstractmethod
    def _close(self, status: str) -> None:
        """Flush and close the backend."""

    @abstractmethod
    def _write_record(self, record: dict[str, float], kimg: float) -> None:
        """Write scalars, ``kimg`` among them."""

    @staticmethod
    def _curves(record: dict[str, float]) -> dict[str, float]:
        """What of a record is to be looked at, without where it stands."""
        return {name: value for name, value in record.items() if name not in CLOCK}

    # No-ops on purpose, not abstract: some backends hold numbers only.
    def _write_images(self, name: str, path: Path, kimg: float) -> None: ...

    def _write_histogram(
        self, name: str, counts: list[int], edges: list[float], kimg: float
    ) -> None: ...
