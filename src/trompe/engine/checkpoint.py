"""Checkpoints that are either whole or not there."""

import os
from pathlib import Path
from typing import IO, Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from trompe.engine.interrupt import hold_signals
from trompe.errors import UserError
from trompe.files import CannotWrite, whole_file


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
        UserError: if it is missing or cannot be read.
    """
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}")
    try:
        checkpoint: dict[str, Any] = torch.load(
            path, map_location="cpu", weights_only=True, mmap=mmap
        )
        return checkpoint
    except Exception as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"the checkpoint {path} cannot be read: {first}") from error
