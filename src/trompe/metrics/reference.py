"""Features of the reference images, kept on disk by the content of the data, not by its name."""

import hashlib
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from trompe.cache_folder import keep
from trompe.errors import UserError
from trompe.metrics.features import FeatureNetwork
from trompe.metrics.frechet import Gaussian, fit_gaussian
from trompe.metrics.order import random_order
from trompe.paths import expand

# Raised whenever the same inputs give other features.
_VERSION = 2
_BATCH_SIZE = 256  # images gathered at once


class ReferenceData(Protocol):
    """What the data must provide: a hash of their content, split sizes, and images by index."""

    @property
    def fingerprint(self) -> str:
        """Hash of the content of the data."""

    @property
    def class_names(self) -> list[str]:
        """A name for each label."""

    def split_size(self, split: str) -> int:
        """Number of images in a split."""

    def gather(self, split: str, indices: Tensor) -> Any:
        """`images` uint8 (n, C, H, W) and `labels` (n,) of the images at `indices` (n,)."""


class Reference:
    """Real images in a feature space.

    Args:
        features: float32 (N, D).
        labels: int64 (N,).
        classes: number of different labels.
        gaussian: fitted to the features.
        held_out: features (M, D) of real images that were not trained on, if there are any.
        classifier: weights (classes, D) of the feature network's own last layer, if it is kept.
        class_names: a name for each label.
    """

    def __init__(
        self,
        features: Tensor,
        labels: Tensor,
        classes: int,
        gaussian: Gaussian,
        held_out: Tensor | None = None,
        classifier: Tensor | None = None,
        class_names: Sequence[str] = (),
    ) -> None:
        self.features = features
        self.labels = labels
        self.classes = classes
        self.gaussian = gaussian
        self.held_out = held_out
        self.classifier = classifier
        self.class_names = list(class_names)
        self._gaussians: dict[int, Gaussian] = {}

    def of_class(self, label: int) -> Tensor:
        """The features (n, D) of a class."""
        return self.features[self.labels == label]

    def gaussian_of_class(self, label: int) -> Gaussian:
        """Fitted to the features of a class, of which there are at least 2."""
        if label not in self._gaussians:
            self._gaussians[label] = fit_gaussian(self.of_class(label))
        return self._gaussians[label]

    def name_of(self, label: int) -> str:
        """The name of a class; its number if it has none."""
        return self.class_names[label] if label < len(self.class_names) else str(label)

    def __len__(self) -> int:
        return len(self.features)


def load_reference(
    features: FeatureNetwork,
    data: ReferenceData,
    split: str,
    n: int,
    cache_dir: Path | str | None = None,
) -> Reference:
    """Features of n images of a split, or of all of them if there are fewer.

    The choice of the n images depends on n and the size of the split only. With a `cache_dir` the
    result is kept there in ``reference/<key>.npz``; a file that cannot be read is computed
    again, and one that cannot be written is done without.

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
    arrays, path = None, None
    if cache_dir is not None:
        parts = [_VERSION, data.fingerprint, split, n, features.fingerprint]
        key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
        path = expand(cache_dir, "paths.cache_dir") / "reference" / f"{key}.npz"
        arrays = _loaded(path, n, features.dim)
    if arrays is None:
        arrays = _computed(features, data, split, n)
        if path is not None:
            contents: dict[str, Any] = {name: tensor.numpy() for name, tensor in arrays.items()}
            keep(path, lambda file: np.savez(file, **contents), "wb")
    gaussian = Gaussian(arrays["mean"], arrays["root"], arrays["trace"])
    names = data.class_names
    return Reference(
        arrays["features"],
        arrays["labels"],
        len(names),
        gaussian,
        classifier=features.classifier,
        class_names=names,
    )


def extract(features: FeatureNetwork, data: ReferenceData, split: str, indices: Tensor) -> Tensor:
    """Features (n, D), on the CPU, of the images at `indices` (n,) of a split."""
    found = [features(data.gather(split, some).images).cpu() for some in indices.split(_BATCH_SIZE)]
    return torch.cat(found)


def _computed(
    features: FeatureNetwork, data: ReferenceData, split: str, n: int
) -> dict[str, Tensor]:
    size = data.split_size(split)
    indices = torch.arange(n)
    if n < size:
        indices = random_order(size, "reference")[:n]
    rows = extract(features, data, split, indices)
    labels = torch.cat([data.gather(split, some).labels for some in indices.split(_BATCH_SIZE)])
    return {"features": rows, "labels": labels, **fit_gaussian(rows)._asdict()}


def _loaded(path: Path, n: int, dim: int) -> dict[str, Tensor] | None:
    """What the file holds, or None if it is missing or damaged."""
    try:
        # Opened here, because numpy leaves a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = {name: torch.from_numpy(arrays[name]) for name in _SHAPES}
    except (OSError, EOFError, KeyError, ValueError, TypeError, zipfile.BadZipFile):
        return None
    sizes = {"n": n, "dim": dim}
    for name, shape in _SHAPES.items():
        if found[name].shape != tuple(sizes[side] for side in shape):
            return None
    return found


_SHAPES: dict[str, tuple[str, ...]] = {
    "features": ("n", "dim"),
    "labels": ("n",),
    "mean": ("dim",),
    "root": ("dim", "dim"),
    "trace": (),
}
