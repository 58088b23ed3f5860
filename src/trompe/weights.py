"""Weights that do not come with a package: from a file, a cache, or the network."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from trompe.errors import UserError
from trompe.paths import expand


def find_file(given: str | Path | None, url: str) -> str:
    """A file of weights: the given one, else the one in torch's cache, else downloaded there.

    Args:
        given: a path, or None.
        url: where it is downloaded from; its name ends in the first digits of its SHA-256.

    Raises:
        UserError: if the file is missing and cannot be downloaded, naming the three ways to get it.
    """
    if given is not None:
        path = expand(given, "weights")
        if not path.is_file():
            raise UserError(f"weights={given}: there is no such file")
        return str(path)
    cached = expand(torch.hub.get_dir(), "TORCH_HOME") / "checkpoints" / Path(url).name
    if not cached.is_file():
        cached.parent.mkdir(parents=True, exist_ok=True)
        try:
            prefix = cached.stem.rpartition("-")[2]
            torch.hub.download_url_to_file(url, str(cached), prefix, progress=True)
        except (OSError, RuntimeError) as error:
            raise missing_weights(cached.name, f"put it at {cached}", url, error) from error
    return str(cached)


def missing_weights(name: str, cache: str, url: str, error: Exception) -> UserError:
    """The one line that says how weights can be supplied."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return UserError(
        f"the weights {name} are not here and could not be downloaded ({reason}). Give their file "
        f"with weights=<path> (in training: the network's own key `weights`), {cache}, or "
        f"connect this machine to {url}"
    )


# Errors raised when a file does not hold the expected weights.
_MISREAD = (ValueError, KeyError, TypeError, IndexError, AttributeError)


@contextmanager
def open_weights(path: str) -> Iterator[None]:
    """Inside this context weights are read; an unreadable or unfit file is a `UserError`."""
    try:
        yield
    except (OSError, EOFError, RuntimeError, *_MISREAD, pickle.UnpicklingError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"the weights {path} do not fit: {first}") from error
