"""A trained method, from its run folder."""

from typing import Any

import torch
from hydra.utils import instantiate

from trompe.engine.checkpoint import check_fits, load_checkpoint
from trompe.engine.clock import Clock
from trompe.errors import UserError
from trompe.methods.method import Method
from trompe.runs.older import upgrade_checkpoint
from trompe.runs.run_folder import RunFolder
from trompe.trust import open_config


def find_checkpoint(run: RunFolder, which: str) -> tuple[dict[str, Any], str]:
    """The checkpoint `best` or `last`, and which one: best falls back to last.

    Raises:
        UserError: if the run has none, or `which` is neither.
    """
    files = {"best": run.best_checkpoint, "last": run.last_checkpoint}
    if str(which) not in files:
        raise UserError(f"checkpoint={which} is neither best nor last")
    if which == "best" and not files["best"].is_file():
        which = "last"
    if not files[which].is_file():
        raise UserError(f"{run.path} has no checkpoint yet: train it for at least one tick")
    return load_checkpoint(files[which]), which


def load_method(run: RunFolder, checkpoint: dict[str, Any], trust: bool) -> Method:
    """The run's method with the checkpoint's weights, on the GPU if there is one.

    Raises:
        UserError: if the run names code of its own, unless it is trusted; if the weights are not
            those of its model.
    """
    config = open_config(run, trust, "model")
    clock = Clock(config["kimg"], config["tick_kimg"], config["batch_size"])
    method: Method = instantiate(config["model"], clock=clock, seed=config["seed"], _convert_="all")
    weights = upgrade_checkpoint(checkpoint)["state_dict"]
    check_fits(f"the checkpoint of {run.path}", weights, method.state_dict())
    method.load_state_dict(weights)
    clock.load_state_dict(checkpoint["clock"])
    return ready(method)


def ready(method: Method) -> Method:
    """The method in evaluation mode, on the GPU if there is one."""
    return method.eval().to("cuda" if torch.cuda.is_available() else "cpu")
