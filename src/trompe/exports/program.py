"""The traced program of an exportable module: `torch.export`, and its file."""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor
from torch.export import ExportedProgram

from trompe.errors import UserError
from trompe.exports.exportable import Exportable

FILE = "model.pt2"

# From an exportable's inputs to its images.
Run = Callable[..., Tensor]


@contextmanager
def quietly() -> Iterator[None]:
    """Within it, the exporters' prints, warnings and logs are not shown; errors are raised.

    Raises:
        UserError: in place of an exporter's own error.
    """
    before = logging.root.manager.disable
    said = io.StringIO()
    try:
        logging.disable(logging.CRITICAL)
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextmanager
def told_as(what: str) -> Iterator[None]:
    """Turn an exporter's error, whatever it is, into one line.

    Raises:
        UserError: for any error but a user's mistake, an interruption and a full memory.
    """
    try:
        yield
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[0][:200] if lines else type(error).__name__
        raise UserError(f"{what}: this model cannot be exported: {reason}") from error


def trace(module: Exportable) -> ExportedProgram:
    """The program of a module, for all sizes that are not fixed.

    Raises:
        UserError: if it cannot be traced.
    """
    # Nothing is cast here, and a region without autocast can be saved but not loaded again.
    uncast = mock.patch.object(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    with told_as("torch.export"), quietly(), torch.no_grad(), uncast:
        return torch.export.export(
            module, module.examples(), dynamic_shapes=module.dynamic_shapes(), strict=False
        )


def write(program: ExportedProgram, folder: Path) -> Path:
    """Write the program and its weights; returns the file.

    Raises:
        UserError: if it cannot be written as a file.
    """
    path, content = folder / FILE, io.BytesIO()
    with told_as("format=torch_export"), quietly():
        torch.export.save(program, content)
    path.write_bytes(content.getvalue())  # by torch, a full disk would be no OSError
    return path


def load(path: Path) -> Run:
    """The program as whoever gets the file has it."""
    with quietly():
        loaded: Run = torch.export.load(path).module()
    return loaded
