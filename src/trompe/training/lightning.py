"""How Lightning is set up: quiet, with our strategy and our signals."""

import logging
import warnings
from typing import Any

import pytorch_lightning as pl

from trompe.engine.processes import Processes
from trompe.engine.strategy import FlatDDPStrategy


def quiet_lightning() -> None:
    """Keep Lightning's tips and notes off the terminal; its warnings stay."""
    # Lightning 2.6 calls what torch 2.15 deprecates; users need not see it.
    warnings.filterwarnings("ignore", message=".isinstance.treespec, LeafSpec")
    # Averaged networks stay in evaluation mode, and are not trained.
    warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")
    # A login node of a cluster has `srun`, which one process does not need.
    warnings.filterwarnings("ignore", message="The `srun` command is available")
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)


def make_strategy(trainer_config: dict[str, Any], processes: Processes, task: str) -> Any:
    """The flat all-reduce for several processes, Lightning's plain one for one.

    Args:
        trainer_config: without `auto`.
        processes: which one this is.
        task: what it is to do, in words.
    """
    if processes.count == 1:
        return "auto"
    backend = "gloo" if trainer_config["accelerator"] == "cpu" else "nccl"
    sizes = trainer_config["devices"], trainer_config["num_nodes"]
    return FlatDDPStrategy(processes, *sizes, backend=backend, task=task)


def without_handlers(trainer: pl.Trainer) -> pl.Trainer:
    """The trainer, with signals left to `catch_signals`."""
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    return trainer
