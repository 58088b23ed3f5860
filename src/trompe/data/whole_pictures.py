"""Pictures of any sizes as they are, for feature networks, which resize them."""

import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor

from trompe.bars import Bar
from trompe.data.conversion import convert, is_gray, to_picture
from trompe.data.limits import Unreadable, cannot_be_decoded, explained
from trompe.data.picture_folder import FolderSource
from trompe.data.source import Source
from trompe.errors import UserError
from trompe.images import from_picture

# Raised whenever the same pictures give other pixels.
_VERSION = 1


class Shapes(NamedTuple):
    """What the pictures of a set have in common.

    Attributes:
        side: pixels, if all are squares of one size; else None.
        channels: 1 if all are gray, else 3.
    """

    side: int | None
    channels: int


def find_shapes(source: FolderSource) -> Shapes:
    """Look at the headers of all pictures.

    Raises:
        UserError: naming those that cannot be read.
    """
    sizes, modes, failures = set(), set(), {}
    for index in Bar(range(len(source)), source.location, unit="picture"):
        try:
            picture = source.read(index)
        except Unreadable as error:
            failures[source.name(index)] = str(error)
        else:
            sizes.add(picture.size)
            modes.add(is_gray(picture))
    if failures:
        raise UserError(
            cannot_be_decoded(source.location, len(source), [*failures], [*failures.values()])
        )
    sides = {side for size in sizes for side in size}
    return Shapes(sides.pop() if len(sides) == 1 else None, 1 if all(modes) else 3)


class OneByOne:
    """Pictures that are decoded when they are iterated over, a few at a time.

    Each is uint8 (3, H, W), upright, of its own size.

    Args:
        source: of the pictures.
        indices: which of them, (n,).
    """

    def __init__(self, source: Source, indices: Tensor) -> None:
        self._source = source
        self._indices = indices.tolist()

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[Tensor]:
        """The pictures in order.

        Raises:
            UserError: if one cannot be decoded.
        """
        workers = os.cpu_count() or 1
        with ThreadPoolExecutor(workers) as pool:
            for start in range(0, len(self._indices), workers):
                yield from pool.map(self._read, self._indices[start : start + workers])

    def _read(self, index: int) -> Tensor:
        try:
            with explained():
                picture = convert(to_picture(self._source.read(index)), "RGB")
        except Unreadable as error:
            name, location = self._source.name(index), self._source.location
            raise UserError(
                cannot_be_decoded(location, len(self._source), [name], [str(error)])
            ) from error
        return from_picture(picture)


class WholeBatch(NamedTuple):
    """Pictures, each uint8 (3, H, W), and their labels, int64 (n,)."""

    images: OneByOne
    labels: Tensor


class WholePictures:
    """All pictures of a source as one split, ``"train"``; none is kept in memory.

    Args:
        source: of the pictures.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._labels = torch.from_numpy(source.labels)
        self.class_names = source.class_names
        parts = ["whole pictures", _VERSION, source.fingerprint()]
        self.fingerprint = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

    def split_size(self, split: str) -> int:
        """Number of pictures in a split."""
        return len(self._source) if split == "train" else 0

    def gather(self, split: str, indices: Tensor) -> WholeBatch:
        """The pictures at `indices` (n,), long, of ``"train"``."""
        return WholeBatch(OneByOne(self._source, indices), self._labels[indices])
