"""How Lightning is set up: quiet, with our strategy and our checkpoints."""

import logging
import warnings
from typing import Any

from pytorch_lightning.plugins.environments import SLURMEnvironment

from trompe.engine.checkpoint import AtomicCheckpointIO
from trompe.engine.strategy import FlatDDPStrategy


def quiet_lightning() -> None:
    """Keep Lightning's tips and notes off the terminal; its warnings stay."""
    # Lightning 2.6 calls what torch 2.15 deprecates; users need not see it.
    warnings.filterwarnings("ignore", message=".isinstance.treespec, LeafSpec")
    # Averaged networks stay in evaluation mode, and are not trained.
    warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)


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
