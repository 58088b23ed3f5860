"""Checkpoints that are either whole or not there."""

import os
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from trompe.engine.interrupt import hold_signals
from trompe.errors import UserError


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes to a temporary name beside the target, syncs, then renames.

    A crash, a kill or a full disk at any moment leaves the old file as it was; Ctrl-C and
    SIGTERM wait until the new one is there.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike, storage_options: Any = None
    ) -> None:
        """Write `checkpoint` to `path`.

        Raises:
            UserError: if it cannot be written (a full or read-only disk); the old one is kept.
        """
        target = Path(path)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with hold_signals():
                with temporary.open("wb") as file:
                    torch.save(checkpoint, file)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, target)
        except (OSError, RuntimeError) as error:
            # torch reports a full disk as a RuntimeError of its zip writer.
            temporary.unlink(missing_ok=True)
            kept = "the previous one is kept" if target.exists() else "nothing was left behind"
            raise UserError(f"cannot write the checkpoint {target}: {error}; {kept}") from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint's plain values and tensors (`weights_only=True`).

    Raises:
        UserError: if it is missing or cannot be read.
    """
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"the checkpoint {path} cannot be read: {first}") from error
