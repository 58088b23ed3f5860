"""How a session begins and ends in the run folder."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trompe.engine.checkpoint import load_checkpoint
from trompe.engine.hardware import describe_hardware
from trompe.errors import UserError
from trompe.loggers.tracker import Tracker
from trompe.methods.capabilities import usage
from trompe.methods.method import Method
from trompe.runs.plots import draw_curves
from trompe.runs.provenance import command_line, describe_code, describe_packages
from trompe.runs.run_folder import RunFolder, utc_now
from trompe.training.session import FORMAT, Session


def begin(session: Session, data_fingerprint: str, trainer_config: dict[str, Any]) -> None:
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
            "command": start["command"],
            "cwd": str(Path.cwd()),
            "seed": session.config["seed"],
            "code": describe_code(),
            "packages": describe_packages(),
            "hardware": {**describe_hardware(), **trainer_config},
            "data_fingerprint": data_fingerprint,
            "parent": session.parent,
            "kimg": 0.0,
            "best": None,
            "trackers": {},
            "sessions": [start],
        }
        run.create(session.config, session.overrides, facts)
        run.lock()
    else:
        run.lock()
        facts = run.read_facts()
        run.check_data(data_fingerprint)
        kimg = load_checkpoint(run.last_checkpoint)["clock"]["images"] / 1000
        run.write_config(session.config, session.overrides)
        run.rewind(kimg)
        sessions = [*facts["sessions"], {**start, "from_kimg": kimg}]
        run.update_facts(status="running", sessions=sessions, error=None)
    print(f"run folder: {run.path}")
    if session.parent is not None and session.parent["changes"]:
        changed = ", ".join(session.parent["changes"])
        print(
            f"a new run, from the beginning: it differs from {session.parent['run']} in {changed}"
        )


@contextmanager
def recorded(run: RunFolder | None, trackers: Mapping[str, Tracker]) -> Iterator[None]:
    """However the block ends, the status is written (on rank 0) and trackers are closed."""
    status, error = "failed", None
    try:
        yield
        status = "done"
    except (SystemExit, KeyboardInterrupt):
        # SystemExit is Lightning's answer to a KeyboardInterrupt, after it has torn it all down.
        status = "interrupted"
        if run is not None:
            print(f"\ninterrupted; resume it with: trompe train run={run.path}")
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt from None
    except BaseException as exception:
        # A note says why another process died, which this one saw as a closed connection.
        notes = [] if isinstance(exception, UserError) else getattr(exception, "__notes__", [])
        error = notes[0] if notes else f"{type(exception).__name__}: {exception}"
        where, _, mistake = error.partition(f": {UserError.__name__}: ")
        if notes and mistake:
            raise UserError(f"{where}: {mistake}") from exception
        raise
    finally:
        if run is not None:
            run.update_facts(status=status, error=error, ended=utc_now())
            run.unlock()
        for tracker in trackers.values():
            tracker.close(status)


def report(run: RunFolder, method: Method) -> None:
    """Draw the curves, and print where everything is and the command that uses it."""
    curves = draw_curves(run)
    grids = sorted((run.path / "samples").glob("[0-9]*.png"))
    facts = run.read_facts()
    print(f"\ndone: {facts['kimg']:.1f} kimg in {run.path}")
    if facts["best"]:
        print("  best     {metric} = {value:.4g} at {kimg:.1f} kimg".format(**facts["best"]))
    if grids:
        print(f"  samples  {grids[-1]}")
    if (real := run.path / "samples" / "real.png").exists():
        print(f"  real     {real}")
    if curves:
        print(f"  curves   {curves}")
    if (command := usage(method, run.path)) is not None:
        print(f"  more     {command}")
