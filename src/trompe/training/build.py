"""A config's parts, built before anything is written, so that an error leaves nothing behind."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from trompe.data.loader import TrainingData
from trompe.engine.clock import Clock
from trompe.engine.hardware import keep_freed_memory, resolve_trainer
from trompe.engine.interrupt import CatchSignals
from trompe.engine.randomness import keyed_seed
from trompe.engine.share import Share
from trompe.errors import UserError, check_count
from trompe.loggers.tracker import Tracker
from trompe.methods.method import Method
from trompe.metrics.evaluation import Evaluation, check_measurable
from trompe.training.best import Best
from trompe.training.lightning import make_plugins, make_strategy
from trompe.training.samples import SampleGrid
from trompe.training.session import Session
from trompe.training.tick import Tick
from trompe.training.trackers import make_trackers


@dataclass
class Job:
    """Everything that trains a run.

    Args:
        session: what is trained.
        trainer_config: without `auto`.
        data: ready to be streamed.
        method: with its first weights.
        trainer: Lightning's.
        trackers: views of the run, by their name in the config.
    """

    session: Session
    trainer_config: dict[str, Any]
    data: TrainingData
    method: Method
    trainer: pl.Trainer
    trackers: dict[str, Tracker]

    def fit(self, checkpoint: Path | None) -> None:
        """Train from a checkpoint, or from the beginning."""
        self.trainer.loggers = list(self.trackers.values())
        self.trainer.fit(self.method, datamodule=self.data, ckpt_path=checkpoint, weights_only=True)


def build(session: Session) -> Job:
    """Build the parts of a session's config.

    Raises:
        UserError: for anything in it, or in the data, that cannot work.
    """
    config = session.config
    clock = Clock(config["kimg"], config["tick_kimg"], config["batch_size"])
    trainer_config = resolve_trainer(config["trainer"])
    world_size = trainer_config["devices"] * trainer_config["num_nodes"]
    accumulate = config["model"].get("accumulate", 1)
    check_count("model.accumulate", accumulate)
    Share(0, world_size, accumulate).rows(clock.batch_size)
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
    tick = build_tick(session, method, data, trackers)
    with configured("model.optimizer"):
        check_optimizers(method)  # Lightning makes its own: these catch wrong values early
    with configured("trainer"):
        trainer = pl.Trainer(
            **trainer_config,
            strategy=make_strategy(trainer_config, world_size),
            plugins=make_plugins(),
            max_epochs=clock.ticks,
            callbacks=[CatchSignals(), *callbacks.values(), tick],
            logger=False,
            default_root_dir=session.run.path,
            log_every_n_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
        )
    return Job(session, trainer_config, data, method, trainer, trackers)


def check_optimizers(method: Method) -> None:
    """Refuse settings that make no optimizers, or more or fewer than the method names.

    Raises:
        UserError: naming the number of both.
    """
    found: Any = method.configure_optimizers()
    count = len(found) if isinstance(found, list | tuple) else 1
    names = method.optimizer_names
    if count != len(names):
        raise UserError(
            f"{type(method).__name__}.configure_optimizers gives {count} optimizers, but "
            f"optimizer_names are {', '.join(names)}: one name for each"
        )


def build_tick(
    session: Session, method: Method, data: TrainingData, trackers: dict[str, Tracker]
) -> Tick:
    """What ends the ticks.

    Raises:
        UserError: for wrong values, or metrics that the method cannot be measured by.
    """
    config = session.config
    metrics = instantiate(config["metrics"], _convert_="all")
    evaluation = Evaluation(metrics, **config["evaluation"])
    check_measurable(method, metrics)
    samples = None if config["samples"] is None else SampleGrid(**config["samples"])
    if samples is not None:
        samples.check(method, data)
    best = Best(evaluation.directions, **config["checkpoint"])
    return Tick(session.run, config, evaluation, samples, best, trackers)


def check_batches(config: dict[str, Any]) -> None:
    """Refuse a model made for batches other than those the data give.

    Raises:
        UserError: naming both kinds.
    """
    classes: list[Any] = [get_class(config[group]["_target_"]) for group in ("model", "data")]
    wanted, given = (found.batch_type for found in classes)
    if wanted is not given:
        raise UserError(
            f"the model trains on a {wanted.__name__} but the data give a {given.__name__}: choose "
            "another data= or model="
        )


@contextmanager
def configured(group: str) -> Iterator[None]:
    """Inside this context a part is built that refuses wrong values in its own words.

    Raises:
        UserError: with those words and the config group.
    """
    try:
        yield
    except (MisconfigurationException, InstantiationException, ValueError, TypeError) as error:
        raise UserError(f"{group}: {error}") from error
