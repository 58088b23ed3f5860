"""Weights that a new run begins with, instead of random ones."""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trompe.engine.checkpoint import check_fits
from trompe.engine.ema import Averaged
from trompe.errors import UserError, show
from trompe.methods import embedded
from trompe.methods.method import Method
from trompe.methods.trained import find_checkpoint
from trompe.paths import expand
from trompe.runs.older import upgrade_checkpoint
from trompe.runs.run_folder import open_run
from trompe.suggestions import close, did_you_mean


def begin_with(method: Method, init: Any) -> dict[str, Any] | None:
    """Give a method the weights that `init` names; its clock and optimizers begin as ever.

    From a run, all networks of its last checkpoint. The embedded stylizer has a generator only,
    which becomes the one that is trained and its average.

    Args:
        method: with random weights.
        init: `embedded`, a run folder, or None.

    Returns:
        what to record of them.

    Raises:
        UserError: if there are no such weights, or they are of another model.
    """
    if init is None:
        return None
    weights, facts = read_initial(init)
    if init == embedded.NAME:
        _load_generator(method, weights)
        return facts
    own = method.state_dict()
    # How many images the averages have followed is the clock's, which begins at 0.
    weights = {k: own.get(k, v) if k.endswith("._extra_state") else v for k, v in weights.items()}
    check_fits(f"init={init}", weights, own)
    method.load_state_dict(weights)
    return facts


def read_initial(init: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The weights that `init` names, and what to record of them.

    Raises:
        UserError: if there are none.
    """
    if not isinstance(init, str):
        raise UserError(f"init={show(init)} must be embedded or a run folder")
    if init == embedded.NAME:
        shipped = embedded.read_facts()
        facts = {"weights": init, "sha256": shipped["sha256"], "seen_kimg": shipped["seen_kimg"]}
        return embedded.read_weights(), facts
    if not expand(init, "init").exists() and (meant := close(init, [embedded.NAME])):
        raise UserError(f"init={init}: there is no such run folder{did_you_mean(meant)}")
    if not expand(init, "init").is_dir():
        raise UserError(f"init={init}: there is no run folder at {init}")
    run = open_run(init)
    checkpoint, _ = find_checkpoint(run, "last")
    weights = upgrade_checkpoint(checkpoint)["state_dict"]
    before = run.read_facts()
    kimg = checkpoint["clock"]["images"] / 1000
    facts = {
        "weights": str(run.path.absolute()),
        "id": before.get("id"),
        "kimg": kimg,
        "seen_kimg": kimg + seen_before(before),
        "sha256": _digest(weights),
    }
    return weights, facts


def seen_before(facts: Mapping[str, Any]) -> float:
    """Thousands of images that a run's first weights had seen, in all runs before it."""
    initial = facts.get("init") or {}
    return float(initial.get("seen_kimg", initial.get("kimg", 0)))


def _digest(weights: Mapping[str, Any]) -> str:
    found = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        if isinstance(tensor, Tensor):
            found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            found.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def _load_generator(method: Any, weights: Mapping[str, Tensor]) -> None:
    average = getattr(method, "generator_ema", None)
    if not isinstance(average, Averaged):
        raise UserError(
            "init=embedded is a stylizer's generator: use it with model=adversarial_style"
        )
    for network in (average.network, average.followed):
        check_fits("init=embedded", weights, network.state_dict())
        network.load_state_dict(weights)
