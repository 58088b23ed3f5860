"""A config's parts, built before anything is written, so that an error leaves nothing behind."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.errors import InstantiationException
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from trompe.data.checks import check_stream
from trompe.data.loader import TrainingData
from trompe.engine.checkpoint import AtomicCheckpointIO, check_resumable
from trompe.engine.clock import Clock
from trompe.engine.hardware import keep_freed_memory, resolve_trainer
from trompe.engine.processes import find_processes
from trompe.engine.randomness import keyed_seed
from trompe.engine.share import Share
from trompe.engine.strategy import FlatDDPStrategy
from trompe.errors import UserError, check_count
from trompe.loggers.tracker import Tracker
from trompe.lookup import find_class
from trompe.masking import mask
from trompe.methods.method import Method
from trompe.metrics.evaluation import Evaluation, check_measurable
from trompe.own_code import name_of, own_code
from trompe.parts import make
from trompe.training.beginning_weights import begin_with
from trompe.training.best import Best
from trompe.training.classes import check_conditional, class_names, with_classes
from trompe.training.lightning import make_strategy, without_handlers
from trompe.training.recorded import Beginning
from trompe.training.samples import SampleGrid
from trompe.training.session import Session
from trompe.training.tick import Tick
from trompe.training.trackers import make_trackers


@dataclass
class Job:
    """Everything that trains a run.

    Args:
        session: what is trained.
        data: ready to be streamed.
        method: with its first weights.
        beginning: opens the run folder.
        trainer: Lightning's.
        trackers: views of the run, by their name in the config.
    """

    session: Session
    data: TrainingData
    method: Method
    beginning: Beginning
    trainer: pl.Trainer
    trackers: dict[str, Tracker]

    def fit(self, checkpoint: Path | None, on_hang: Callable[[BaseException], None]) -> None:
        """Train from a checkpoint, or from the beginning.

        Args:
            checkpoint: to resume from.
            on_hang: called from another thread if another process has ended and this one hangs.

        Raises:
            UserError: if the checkpoint is damaged, or of another model.
            AnotherProcess: if another process ended early.
            SystemExit: Lightning's answer to a KeyboardInterrupt; if any process was interrupted.
        """
        strategy = self.trainer.strategy
        if isinstance(strategy, FlatDDPStrategy):
            strategy.launcher.on_hang = on_hang
        self.trainer.loggers = list(self.trackers.values())
        if checkpoint is not None:
            names = self.method.optimizer_names
            check_resumable(checkpoint, self.method.state_dict(), len(names))
        try:
            self.trainer.fit(
                self.method, datamodule=self.data, ckpt_path=checkpoint, weights_only=True
            )
        except Exception as error:
            if isinstance(strategy, FlatDDPStrategy) and strategy.cause is not None:
                raise strategy.cause from error
            raise


def build(session: Session) -> Job:
    """Build the parts of a session's config.

    Raises:
        UserError: for anything in it, or in the data, that cannot work.
    """
    config = session.config
    clock = Clock(config["kimg"], config["tick_kimg"], config["batch_size"])
    trainer_config = resolve_trainer(config["trainer"])
    processes = find_processes(trainer_config["devices"], trainer_config["num_nodes"])
    accumulate = config["model"].get("accumulate", 1)
    check_count("model.accumulate", accumulate)
    Share(0, processes.count, accumulate).rows(clock.batch_size)
    check_batches(config)
    check_conditional(config)
    trackers = make_trackers(session, processes.is_first)
    data = make(config["data"], "data")
    with own_code("data"):
        data.prepare_data()
        data.setup("fit")
        check_stream(data, config["data"], config["seed"], clock.batch_size)
        data_facts: dict[str, Any] = {"data_fingerprint": data.fingerprint}
    if data.credits:
        data_facts["data_credits"] = data.credits
    config = session.config = with_classes(session, data)
    config = session.config = {**config, "model": {**config["model"], **data.decides}}
    if config.get("conditional"):
        data_facts["class_names"] = class_names(data)
    if trainer_config["accelerator"] == "cpu":
        keep_freed_memory()
    torch.manual_seed(keyed_seed(config["seed"], "weights"))
    method = make(config["model"], "model", clock=clock, seed=config["seed"])
    if session.checkpoint is None:
        session.initial = begin_with(method, config.get("init"))
    callbacks = make(config["callbacks"], "callbacks")
    tick = build_tick(session, method, data, trackers)
    beginning = Beginning(session, data_facts, trainer_config, processes.is_first)
    with configured("model.optimizer"):
        check_optimizers(method)  # Lightning makes its own: these catch wrong values early
    with configured("trainer"):
        trainer = pl.Trainer(
            **trainer_config,
            strategy=make_strategy(trainer_config, processes, session.task),
            plugins=[AtomicCheckpointIO(), processes],
            max_epochs=clock.ticks,
            callbacks=[beginning, *callbacks.values(), tick],
            logger=False,
            default_root_dir=session.run.path,
            log_every_n_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
        )
    return Job(session, data, method, beginning, without_handlers(trainer), trackers)


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
    metrics = make(config["metrics"], "metrics")
    with configured("evaluation"):
        evaluation = Evaluation(metrics, **config["evaluation"])
    check_measurable(method, metrics)
    for name, metric in metrics.items():
        with own_code(f"metrics.{name}"):
            metric.rehearse(data)
            metric.directions()
    with configured("samples"):
        samples = None if config.get("samples") is None else SampleGrid(**config["samples"])
    if samples is not None:
        samples.check(method, data)
    with configured("checkpoint"):
        best = Best(evaluation.directions, **config["checkpoint"])
    return Tick(session.run, mask(config), evaluation, samples, best, trackers)


def check_batches(config: dict[str, Any]) -> None:
    """Refuse a model made for batches other than those the data give.

    Raises:
        UserError: naming both kinds.
    """
    types: list[type] = []
    for group, base in (("model", Method), ("data", TrainingData)):
        target = str(config[group]["_target_"])
        found = find_class(target, f"{group}._target_")
        if not issubclass(found, base):
            raise UserError(
                f"{group}._target_={target} is no class for {group}=: make it a subclass of "
                f"{name_of(base)}"
            )
        batch_type = getattr(found, "batch_type", None)
        if not isinstance(batch_type, type):
            raise UserError(
                f"{group}._target_={target} does not say what its batches are: set its batch_type, "
                "such as trompe.data.image_data.Batch"
            )
        types.append(batch_type)
    wanted, given = types
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
