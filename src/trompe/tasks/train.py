"""The train task: config to datamodule, method, callbacks, trainer, run folder."""

import logging
import os
import signal
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig
from pytorch_lightning.plugins.environments import SLURMEnvironment
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from trompe.callbacks.checkpoint import TickCheckpoint
from trompe.callbacks.record import BeginRecord, Record
from trompe.engine.checkpoint import AtomicCheckpointIO, load_checkpoint
from trompe.engine.clock import Clock
from trompe.engine.hardware import (
    describe_hardware,
    keep_freed_memory,
    process_rank,
    resolve_trainer,
)
from trompe.engine.interrupt import CatchSignals, catch_signals
from trompe.engine.randomness import keyed_seed
from trompe.engine.strategy import FlatDDPStrategy
from trompe.errors import UserError
from trompe.extras import is_installed, need
from trompe.loggers.tracker import Tracker
from trompe.runs.plots import draw_curves
from trompe.runs.provenance import command_line, describe_code, describe_packages
from trompe.runs.run_folder import RunFolder, utc_now
from trompe.runs.session import Session, open_session


def train(cfg: DictConfig) -> RunFolder:
    """Train `cfg`, or go on with the run it names.

    Raises:
        UserError: for anything in the config, the data or the run folder that cannot work.
        KeyboardInterrupt: on Ctrl-C or SIGTERM, after the run's status was written.
    """
    quiet_lightning()
    session = open_session(cfg)
    run, config = session.run, session.config
    clock = Clock(config["kimg"], config["tick_kimg"], config["batch_size"])
    trainer_config = resolve_trainer(config["trainer"])
    world_size = trainer_config["devices"] * trainer_config["num_nodes"]
    if clock.batch_size % world_size:
        raise UserError(
            f"batch_size={clock.batch_size} must be divisible by the {world_size} processes"
        )
    check_batches(config)
    trackers = make_trackers(session)
    data = instantiate(config["data"], _convert_="all")
    data.prepare_data()
    data.setup("fit")
    if trainer_config["accelerator"] == "cpu":
        keep_freed_memory()
    torch.manual_seed(keyed_seed(config["seed"], "weights"))
    method = instantiate(config["model"], clock=clock, seed=config["seed"], _convert_="all")
    callbacks = instantiate(config["callbacks"], _convert_="all")
    tracked: dict[str, str] = {}
    for callback in callbacks.values():
        tracked |= getattr(callback, "directions", {})
    checkpoint = TickCheckpoint(run, config, tracked, **config["checkpoint"])
    with configured("model.optimizer"):
        method.configure_optimizers()  # Lightning makes its own: these show wrong values in time
    with configured("trainer"):
        trainer = pl.Trainer(
            **trainer_config,
            strategy=make_strategy(trainer_config, world_size),
            plugins=make_plugins(),
            max_epochs=clock.ticks,
            callbacks=[
                CatchSignals(),
                BeginRecord(run),
                *callbacks.values(),
                Record(run, config, trackers),
                checkpoint,
            ],
            logger=False,
            default_root_dir=run.path,
            log_every_n_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
        )
    is_writer = process_rank() == 0
    if is_writer:
        catch_signals()
        begin(session, data.fingerprint, trainer_config)
    with recorded(run if is_writer else None, trackers):
        trainer.loggers = list(trackers.values())
        resume_from = run.last_checkpoint if session.resumed else None
        trainer.fit(method, datamodule=data, ckpt_path=resume_from, weights_only=True)
    if is_writer:
        report(run, method.use)
    return run


def check_batches(config: dict[str, Any]) -> None:
    """Refuse a model that is made for other batches than the data give.

    Raises:
        UserError: naming both kinds.
    """
    classes: list[Any] = [get_class(config[group]["_target_"]) for group in ("model", "data")]
    wanted, given = (found.batch_type for found in classes)
    if wanted is not given:
        raise UserError(
            f"the model trains on a {wanted.__name__} and the data give a {given.__name__}: choose "
            "another data= or model="
        )


@contextmanager
def configured(group: str) -> Iterator[None]:
    """Within it a part is built that refuses wrong values in its own words.

    Raises:
        UserError: with those words and the config group.
    """
    try:
        yield
    except (MisconfigurationException, InstantiationException, ValueError, TypeError) as error:
        raise UserError(f"{group}: {error}") from error


def quiet_lightning() -> None:
    """Keep Lightning's tips and notes off the terminal; its warnings stay."""
    # Lightning 2.6 calls what torch 2.15 deprecates; nothing for a user to see.
    warnings.filterwarnings("ignore", message=".isinstance.treespec, LeafSpec")
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)


def begin(session: Session, data_fingerprint: str, trainer_config: dict[str, Any]) -> None:
    """Make the run folder, or reopen it and drop what came after its checkpoint."""
    run = session.run
    start = {"started": utc_now(), "command": command_line(), "pid": os.getpid()}
    if not session.resumed:
        facts = {
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


def make_trackers(session: Session) -> dict[str, Tracker]:
    """The trackers that are configured and can work here, not opened yet.

    Raises:
        UserError: if one needs a package that is missing; where it is not required, a line is
            printed and it is left out.
    """
    run = session.run
    ids = run.read_facts().get("trackers", {}) if session.resumed else {}
    names = {"run_name": run.path.name, "save_dir": str(run.path)}
    trackers: dict[str, Tracker] = {}
    for key, entry in session.config["logger"].items():
        tracker: Tracker = instantiate(entry, **names, run_id=ids.get(key))
        if tracker.module is None or is_installed(tracker.module):
            trackers[key] = tracker
            continue
        line = need(tracker.module, f"logger=[{key}]")
        if tracker.is_required:
            raise UserError(line)
        if process_rank() == 0:
            print(f"{line} (this run goes on without it)")
    return trackers


def make_strategy(trainer_config: dict[str, Any], world_size: int) -> Any:
    """The flat all-reduce for several processes, Lightning's plain one for one."""
    if world_size == 1:
        return "auto"
    backend = "gloo" if trainer_config["accelerator"] == "cpu" else "nccl"
    return FlatDDPStrategy(process_group_backend=backend)


def make_plugins() -> list[Any]:
    """Atomic checkpoints; under SLURM no requeue by Lightning, whose checkpoints are mid-tick."""
    plugins: list[Any] = [AtomicCheckpointIO()]
    if SLURMEnvironment.detect():
        plugins.append(SLURMEnvironment(auto_requeue=False))
    return plugins


@contextmanager
def recorded(run: RunFolder | None, trackers: Mapping[str, Tracker]) -> Iterator[None]:
    """However what is within ends, the status is written (on rank 0) and trackers are closed."""
    status, error = "failed", None
    try:
        yield
        status = "done"
    except (SystemExit, KeyboardInterrupt):
        # SystemExit is Lightning's answer to a KeyboardInterrupt, after it has torn all down.
        status = "interrupted"
        if run is not None:
            print(f"\ninterrupted; go on with: trompe train run={run.path}")
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt from None
    except BaseException as exception:
        # A note is what another process died of, which this one saw as a closed connection.
        notes = getattr(exception, "__notes__", [])
        error = notes[0] if notes else f"{type(exception).__name__}: {exception}"
        raise
    finally:
        if run is not None:
            run.update_facts(status=status, error=error, ended=utc_now())
            run.unlock()
        for tracker in trackers.values():
            tracker.close(status)


def report(run: RunFolder, use: str) -> None:
    """Draw the curves and say where everything is, and the command that uses it."""
    curves = draw_curves(run)
    grids = sorted((run.path / "samples").glob("[0-9]*.png"))
    facts = run.read_facts()
    print(f"\ndone: {facts['kimg']:.1f} kimg in {run.path}")
    if facts["best"]:
        print("  best     {metric} = {value:.4g} at {kimg:.1f} kimg".format(**facts["best"]))
    if grids:
        print(f"  samples  {grids[-1]}")
        print(f"  real     {run.path / 'samples' / 'real.png'}")
    if curves:
        print(f"  curves   {curves}")
    print(f"  more     {use.format(run=run.path)}")
