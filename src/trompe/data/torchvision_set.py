"""Data sets of torchvision: CIFAR-10, MNIST, Fashion-MNIST, CelebA."""

import functools
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from trompe.data.image_data import ImageData
from trompe.data.source import Source
from trompe.errors import UserError
from trompe.paths import expand


class TorchvisionSet(ImageData):
    """A data set of torchvision, downloaded only on request.

    Args:
        dataset: makes the data set when called with `root` and `download`.
        root: folder where its files are, or will be; ``~`` is the home folder.
        download: whether to download what is not there.
        common: see `ImageData`.
    """

    def __init__(
        self, dataset: functools.partial[Any], root: str, download: bool = False, **common: object
    ) -> None:
        super().__init__(**common)  # type: ignore[arg-type]
        self.dataset = dataset
        self.root = expand(root, "paths.data_dir")
        self.download = download

    def open_source(self) -> Source:
        """Open the data set, and download it first if it is not there.

        Raises:
            UserError: if it is not there, or cannot be downloaded.
        """
        name = self.dataset.func.__name__
        try:
            dataset = self.dataset(root=str(self.root), download=self.download)
        except (RuntimeError, OSError, ImportError, ValueError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            if self.download:
                message = f"{name} could not be downloaded to {self.root}: {reason}"
            else:
                # torchvision goes on with advice on its own arguments, which are not the user's.
                reason = reason.partition(". ")[0]
                message = (
                    f"{name} is not in {self.root.absolute()} ({reason}); set data.download=true "
                    "to download it, or data.root to where it is"
                )
            raise UserError(message) from error
        return TorchvisionSource(dataset)


class TorchvisionSource(Source):
    """A data set whose items are (Pillow image, target).

    Args:
        dataset: with its images in `data`, or with file names in `filename` as CelebA has.
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        name = type(dataset).__name__
        self.location = f"torchvision's {name}"
        targets = getattr(dataset, "targets", None)
        if targets is None:
            self.class_names = [name]
            self.labels = np.zeros(len(dataset), dtype=np.int64)
        else:
            self.class_names = [str(label) for label in dataset.classes]
            self.labels = np.asarray(targets, dtype=np.int64)

    def fingerprint(self) -> str:
        """Hash of the pixels and labels if they are in memory, else of file names and sizes."""
        digest = hashlib.sha256(repr(self.class_names).encode() + self.labels.tobytes())
        if hasattr(self._dataset, "data"):
            data = np.ascontiguousarray(self._dataset.data)
            digest.update(repr(data.shape).encode() + data.tobytes())
        else:
            folder = Path(self._dataset.root, self._dataset.base_folder, "img_align_celeba")
            for name in self._dataset.filename:
                digest.update(f"{name} {(folder / name).stat().st_size}\n".encode())
        return digest.hexdigest()

    def read(self, index: int) -> Image.Image:
        """Image `index`."""
        image: Image.Image = self._dataset[index][0]
        return image
