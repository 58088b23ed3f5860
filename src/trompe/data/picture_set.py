"""Sets of pictures of any shape as square images, and views of them at a lower resolution."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from trompe.data.crops import resize
from trompe.data.image_data import Batch, ImageData
from trompe.data.photographs import Squares, open_pictures
from trompe.data.source import Source
from trompe.data.stream import split
from trompe.errors import UserError


class Pictures(ImageData):
    """Pictures of any shape as square images, divided by picture.

    No picture has squares both in the training and in the validation split.

    Args:
        pictures: see `trompe.data.photographs.open_pictures`.
        key: what the config calls them, for error messages.
        squares: number of squares cut from each picture, along its longer side.
        common: see `ImageData`.

    Raises:
        UserError: if no square would be cut.
    """

    def __init__(self, pictures: Any, key: str, squares: int, **common: Any) -> None:
        super().__init__(**common)
        if squares < 1:
            raise UserError(f"{key}_squares={squares} must be at least 1")
        self.decoding = replace(self.decoding, resolution_key="data.source_resolution")
        self.pictures = pictures
        self.key = key
        self.squares = squares

    def open_source(self) -> Source:
        """List the pictures and their squares."""
        pictures = open_pictures(self.pictures, self.key, self.cache_dir, self.limits)
        return Squares(pictures, self.squares)

    def divide(self, size: int) -> tuple[Tensor, Tensor]:
        """Indices of all squares of the training and of the validation pictures."""
        # A corrupt picture is left out with all its squares, so each still has as many.
        assert size % self.squares == 0
        parts = split(size // self.squares, self.validation_fraction, self.split_seed)
        inner = torch.arange(self.squares)
        train, validation = ((part[:, None] * self.squares + inner).flatten() for part in parts)
        return train, validation

    def picture_numbers(self, split: str, indices: Tensor) -> Tensor:
        """Numbers (n,) of the pictures that the squares at `indices` (n,) of a split come from."""
        return self._split(split)[indices] // self.squares

    def spread(self, split: str, count: int) -> Tensor:
        """Indices (count,) of a split: the middle square of each picture, then the others, again.

        Raises:
            UserError: if the split is empty.
        """
        size = self.split_size(split)
        if not size:
            raise UserError(
                f"{self.key} has no {split} pictures: give more than one, and a "
                "data.validation_fraction above 0"
            )
        order = torch.arange(size).view(-1, self.squares).t().flatten()
        return order.repeat(-(-count // size))[:count]


class WholeSquares:
    """The squares of a set, whole, at the resolution of a batch: a reference for distances.

    Args:
        pictures: the set, at the resolution that crops are cut from.
        resolution: side of the images, pixels; at most the set's.
    """

    def __init__(self, pictures: Pictures, resolution: int) -> None:
        self.pictures = pictures
        self.resolution = resolution

    @property
    def fingerprint(self) -> str:
        """Hash of the set's content, how it was decoded and resized, and its division."""
        parts = [self.pictures.fingerprint, self.resolution]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

    @property
    def class_names(self) -> list[str]:
        """A name for each label."""
        return self.pictures.class_names

    def split_size(self, split: str) -> int:
        """Number of images in ``"train"`` or ``"validation"``.

        Raises:
            UserError: if there is no such split.
        """
        return self.pictures.split_size(split)

    def gather(self, split: str, indices: Tensor) -> Batch:
        """The images at `indices` (n,), long: uint8 (n, C, R, R), never mirrored.

        Raises:
            UserError: if there is no such split.
        """
        images, labels = self.pictures.gather(split, indices)
        return Batch(resize(images, self.resolution), labels)

    def first(self, split: str, n: int) -> Tensor:
        """The first n images of a split, uint8 (n, C, R, R), repeated if fewer.

        Raises:
            UserError: if there is no such split, or it is empty.
        """
        return self.gather(split, self.pictures.spread(split, n)).images
