"""Statistics of the reference images, kept on disk by the content of the data, not by its name."""

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from trompe.engine.randomness import keyed_generator
from trompe.errors import UserError
from trompe.metrics.features import FeatureNetwork
from trompe.metrics.statistics import FeatureStatistics, feature_statistics

# Raised whenever the same inputs come to give other statistics.
_VERSION = 1
# 256 images of 96 px are 28 MB as float32 input; larger batches are no faster on a CPU.
_BATCH_SIZE = 256


class ReferenceData(Protocol):
    """What is asked of the data: its content's hash, its splits' sizes, and images by index."""

    @property
    def fingerprint(self) -> str:
        """Hash of the content of the data."""

    def split_size(self, split: str) -> int:
        """Number of images in a split."""

    def gather(self, split: str, indices: Tensor) -> Any:
        """`images` uint8 (n, C, H, W), and labels, of the images at `indices` (n,)."""


def reference_statistics(
    features: FeatureNetwork,
    data: ReferenceData,
    split: str,
    n: int,
    cache_dir: Path | str | None = None,
) -> FeatureStatistics:
    """Statistics of n images of a split, or of all of them if there are not so many.

    The choice of the n images depends on n and the size of the split only. With a `cache_dir` the
    result is kept there in ``reference/<key>.npz``, written under a temporary name and renamed; a
    file that cannot be read is computed again.

    Raises:
        UserError: if there are fewer than 2 images.
    """
    size = data.split_size(split)
    n = min(n, size)
    if n < 2:
        raise UserError(
            f"metrics: {n} reference images of split {split!r} ({size} images) are too few; "
            "choose another split, or raise n_reference to at least 2"
        )
    if cache_dir is None:
        return _computed(features, data, split, n)
    parts = [_VERSION, data.fingerprint, split, n, features.fingerprint]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
    path = Path(cache_dir).expanduser() / "reference" / f"{key}.npz"
    statistics = _loaded(path, n, features.dim)
    if statistics is None:
        statistics = _computed(features, data, split, n)
        _save(path, statistics)
    return statistics


def _computed(
    features: FeatureNetwork, data: ReferenceData, split: str, n: int
) -> FeatureStatistics:
    size = data.split_size(split)
    indices = torch.arange(n)
    if n < size:
        indices = torch.randperm(size, generator=keyed_generator(0, "reference", 0))[:n]
    device = next(features.parameters()).device

    def batches() -> Iterator[Tensor]:
        for some in indices.split(_BATCH_SIZE):
            yield data.gather(split, some).images.to(device)

    return feature_statistics(features, batches())


def _loaded(path: Path, n: int, dim: int) -> FeatureStatistics | None:
    """What the file holds, or None if it is missing or damaged."""
    try:
        # Opened here, because numpy leaves a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            stored = int(arrays["n"])
            mean = torch.from_numpy(arrays["mean"])
            covariance = torch.from_numpy(arrays["covariance"])
    except (OSError, EOFError, KeyError, ValueError, TypeError, zipfile.BadZipFile):
        return None
    if stored != n or mean.shape != (dim,) or covariance.shape != (dim, dim):
        return None
    return FeatureStatistics(stored, mean, covariance)


def _save(path: Path, statistics: FeatureStatistics) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            np.savez(
                file,
                n=statistics.n,
                mean=statistics.mean.numpy(),
                covariance=statistics.covariance.numpy(),
            )
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
