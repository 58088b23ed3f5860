"""How a session begins and ends in the run folder."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from trompe.data.loader import TrainingData
from trompe.engine.checkpoint import checkpoint_kimg
from trompe.engine.hardware import describe_hardware
from trompe.engine.interrupt import INTERRUPTED, after_the_run, ignore_signals
from trompe.errors import AnotherProcess
from trompe.loggers.tracker import Tracker
from trompe.masking import mask
from trompe.methods.capabilities import Restores
from trompe.methods.method import Method
from trompe.methods.usage import usage
from trompe.runs.plots import draw_curves
from trompe.runs.provenance import command_line, describe_code, describe_packages
from trompe.runs.run_folder import RunFolder, utc_now
from trompe.training.session import FORMAT, Session
from trompe.training.shown import as_fact
from trompe.trust import consent
from trompe.words import typed


class Beginning(pl.Callback):
    """Opens the run folder, as soon as all processes are there and know what they work on.

    Before, a slower one that looks for a run to resume could find the folder of this one.

    Args:
        session: what is trained.
        data_facts: what is recorded of the data, `data_fingerprint` among it.
        trainer_config: without `auto`.
        is_first: whether this process writes the folder.

    Attributes:
        run: the folder, once this process has opened it.
    """

    def __init__(
        self,
        session: Session,
        data_facts: dict[str, Any],
        trainer_config: dict[str, Any],
        is_first: bool,
    ) -> None:
        self.is_first = is_first
        self.run: RunFolder | None = None
        self._arguments = session, data_facts, trainer_config

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Lightning calls this after it has met the other processes."""
        if self.is_first:
            begin(*self._arguments)
            self.run = self._arguments[0].run


def begin(session: Session, data_facts: dict[str, Any], trainer_config: dict[str, Any]) -> None:
    """Make the run folder, or reopen it and drop what came after its checkpoint."""
    run = session.run
    start = {
        "started": utc_now(),
        "command": command_line(),
        "pid": os.getpid(),
        "processes": trainer_config["devices"] * trainer_config["num_nodes"],
    }
    if not session.resumed:
        facts = {
            "format": FORMAT,
            "name": run.path.name,
            "command": start["command"],
            "cwd": str(Path.cwd()),
            "seed": session.config["seed"],
            "code": describe_code(),
            "packages": describe_packages(),
            "hardware": {**describe_hardware(), **trainer_config},
            **data_facts,
            "parent": session.parent,
            "init": session.initial,
            "kimg": 0.0,
            "best": None,
            "shown": as_fact(session.describe()),
            "trackers": {},
            "sessions": [start],
        }
        run.create(session.config, session.overrides, facts)
        run.lock()
    else:
        run.lock()
        identity: dict[str, Any] = run.identity()
        if "copy_of" in identity:  # it goes on under a name of its own in every dashboard
            identity |= {"name": run.path.name, "trackers": {}}
            identity["shown"] = as_fact(session.describe())
        earlier = run.fact("sessions")
        run.check_data(data_facts["data_fingerprint"])
        if session.checkpoint is None:
            run.check_initial(session.initial)
        kimg = 0.0 if session.checkpoint is None else checkpoint_kimg(session.checkpoint)
        run.write_config(session.config, session.overrides)
        run.rewind(kimg)
        sessions = [*earlier, {**start, "from_kimg": kimg}]
        run.update_facts(**identity, status="running", kimg=kimg, sessions=sessions, error=None)
    print(f"run folder: {run.path}")
    if session.resumed and session.checkpoint is None:
        print("it was stopped before its first tick: it begins again")
    if session.parent is not None and session.parent["changes"]:
        changed = ", ".join(session.parent["changes"])
        print(
            f"a new run, from the beginning: it differs from {session.parent['run']} in {changed}"
        )


@contextmanager
def recorded(beginning: Beginning, trackers: Mapping[str, Tracker]) -> Iterator[None]:
    """However the block ends: the status is written, if it has begun; trackers are closed."""
    status, error = "failed", None
    try:
        yield
        status = "done"
    except BaseException as exception:
        ignore_signals()
        status, error = describe_end(exception)
        if status == "interrupted":
            if not beginning.is_first:  # the first one says so
                raise SystemExit(INTERRUPTED) from None
            if beginning.run is not None:
                print(how_to_resume(beginning.run))
            raise KeyboardInterrupt from None
        raise
    finally:
        _end(beginning.run, trackers, status, error)
        after_the_run()


def _end(
    run: RunFolder | None, trackers: Mapping[str, Tracker], status: str, error: str | None
) -> None:
    """Write down how the session ended, whatever of it can be written.

    Raises:
        Exception: the first that this led to, of a session that was done; of another they are
            told in a line, and do not hide why it ended.
    """
    steps: list[Callable[[], object]] = [partial(t.close, status) for t in trackers.values()]
    if run is not None:
        write = partial(run.update_facts, status=status, error=mask(error), ended=utc_now())
        steps = [write, run.unlock, *steps]
    failed = []
    for step in steps:
        try:
            step()
        except Exception as exception:
            failed.append(exception)
    if failed and status == "done":
        raise failed[0]
    for hidden in failed:
        print(f"note: {hidden}", file=sys.stderr)


def describe_end(exception: BaseException) -> tuple[str, str | None]:
    """The status and the error that a run ends with, as run.json has them."""
    if isinstance(exception, KeyboardInterrupt | SystemExit):  # which Lightning makes of the first
        return "interrupted", None
    if isinstance(exception, AnotherProcess):
        return "failed", str(exception)
    return "failed", f"{type(exception).__name__}: {exception}"


def end_at_once(beginning: Beginning, exception: BaseException) -> None:
    """The same from another thread, while the main thread hangs for ever. Does not return."""
    status, error = describe_end(exception)
    if beginning.run is not None:
        beginning.run.update_facts(status=status, error=mask(error), ended=utc_now())
        if status == "interrupted":
            print(how_to_resume(beginning.run), flush=True)
    print(f"trompe: {mask(error or status)}", file=sys.stderr, flush=True)
    os._exit(INTERRUPTED if status == "interrupted" else 2)


def how_to_resume(run: RunFolder) -> str:
    """The line that an interrupted run ends with."""
    needed = consent(run.read_config())
    return f"\ninterrupted; resume it with: trompe train {typed('run', run.path)}{needed}"


def report(run: RunFolder, method: Method, data: TrainingData) -> None:
    """Draw the curves, and print where everything is and the command that uses it."""
    curves = draw_curves(run)
    grids = sorted((run.path / "samples").glob("[0-9]*.png"))
    facts = run.read_facts()
    print(f"\ndone: {facts['kimg']:.1f} kimg in {run.path}")
    if facts.get("best"):
        print("  best     {metric} = {value:.4g} at {kimg:.1f} kimg".format(**facts["best"]))
    if grids:
        print(f"  samples  {grids[-1]}")
    if (real := run.path / "samples" / "real.png").exists():
        print(f"  real     {real}")
    if curves:
        print(f"  curves   {curves}")
    if isinstance(method, Restores):
        from trompe.training.restoration import write_restoration

        for line in write_restoration(run, method, data):
            print(f"  {line}")
    if (command := usage(method, run.path)) is not None:
        print(f"  more     {command}{consent(run.read_config())}")
