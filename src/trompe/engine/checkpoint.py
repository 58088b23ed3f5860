"""Checkpoints that are either whole or not there."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from trompe.engine.interrupt import hold_signals
from trompe.errors import UserError, show
from trompe.files import CannotWrite, whole_file

# What a checkpoint has to hold to be used, and what else to be resumed.
_USED = {"clock": dict, "state_dict": dict}
_RESUMED = {
    "optimizer_states": list,
    "lr_schedulers": list,
    "loops": dict,
    "callbacks": dict,
    "epoch": int,
    "global_step": int,
    "pytorch-lightning_version": str,
}


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints as `whole_file`s.

    A crash, a kill or a full disk at any moment leaves the old file as it was; Ctrl-C and
    SIGTERM wait until the new one is there.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write `checkpoint` to `path`.

        Raises:
            UserError: if it cannot be written (a full or read-only disk); the old one is kept.
        """
        target = Path(path)
        try:
            with hold_signals(), whole_file(target, "wb") as file:
                _save(checkpoint, file)
        except CannotWrite as error:
            kept = "the previous one is kept" if target.exists() else "nothing was left behind"
            raise UserError(
                f"cannot write the checkpoint {target}: {error.reason}; {kept}"
            ) from error


def _save(checkpoint: dict[str, Any], file: IO[bytes]) -> None:
    """Have torch report a full disk as what it is, not as a RuntimeError of its zip writer."""
    try:
        torch.save(checkpoint, file)
    except RuntimeError as error:
        cause = error.__context__
        reason = cause.strerror if isinstance(cause, OSError) else None
        raise OSError(reason or str(error)) from error


def checkpoint_kimg(path: Path) -> float:
    """Thousands of images that a checkpoint has seen, read without its tensors.

    Raises:
        UserError: if it is missing or cannot be read.
    """
    return float(load_checkpoint(path, mmap=True)["clock"]["images"] / 1000)


def load_checkpoint(path: Path, mmap: bool = False) -> dict[str, Any]:
    """Read a checkpoint's plain values and tensors (`weights_only=True`).

    Args:
        path: the file.
        mmap: whether tensors are read when they are used.

    Raises:
        UserError: if it is missing, cannot be read, or is not that of a run.
    """
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}")
    try:
        checkpoint: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"the checkpoint {path} cannot be read: {first}") from error
    _check(path, checkpoint, _USED)
    found: dict[str, Any] = checkpoint
    images = found["clock"].get("images")
    if type(images) is not int or images < 0:
        raise UserError(f"the checkpoint {path} has no image count: {show(images)}")
    return found


def check_resumable(path: Path, states: Mapping[str, Any], optimizers: int) -> None:
    """Refuse a checkpoint from which training cannot go on.

    Args:
        path: the file.
        states: of the method that is to be trained, by their names.
        optimizers: how many it has.

    Raises:
        UserError: naming what is missing or does not fit.
    """
    checkpoint = load_checkpoint(path, mmap=True)
    _check(path, checkpoint, _RESUMED)
    check_fits(f"the checkpoint {path}", checkpoint["state_dict"], states)
    found = checkpoint["optimizer_states"]
    kinds = [
        isinstance(state, dict) and state.keys() >= {"state", "param_groups"} for state in found
    ]
    if len(found) != optimizers or not all(kinds):
        raise UserError(
            f"the checkpoint {path} has no states of the {optimizers} optimizers of its config"
        )


def check_fits(what: str, stored: Mapping[str, Any], states: Mapping[str, Any]) -> None:
    """Refuse weights of another model.

    Args:
        what: they are, for the message.
        stored: the weights, by their names.
        states: what the model has, by their names.

    Raises:
        UserError: naming the first that is missing, left over, or of another shape.
    """
    for name in [*states, *(name for name in stored if name not in states)]:
        own, other = (_form(values.get(name)) for values in (states, stored))
        if own != other:
            raise UserError(
                f"{what} does not fit the model of its config: {name} is {other}, not {own}"
            )


def _form(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"of shape {tuple(value.shape)}"
    return "missing" if value is None else f"of type {type(value).__name__}"


def _check(path: Path, checkpoint: Any, wanted: Mapping[str, type]) -> None:
    if not isinstance(checkpoint, dict):
        raise UserError(f"the checkpoint {path} is not that of a run")
    for name, kind in wanted.items():
        if not isinstance(checkpoint.get(name), kind):
            raise UserError(f"the checkpoint {path} is damaged: it has no {name}, or a wrong one")
