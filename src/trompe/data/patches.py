"""Patches of the photographs that ship with scikit-image: real images without a download."""

import hashlib
from pathlib import Path

import numpy as np
import skimage
from PIL import Image

from trompe.data.image_data import ImageData
from trompe.data.source import Source
from trompe.errors import UserError


class Patches(ImageData):
    """Square patches of one photograph, on a regular grid, turned and mirrored.

    Neighboring patches overlap, and so validation images are *not* independent of the training
    images: good for development and demonstration, not to measure memorization.

    Args:
        image: name of a picture in scikit-image's package, without its ending.
        patch_size: side of a patch in the photograph's pixels; resized to `resolution`.
        stride: distance between neighboring patches in the photograph's pixels.
        orientations: 1; 4, turned by right angles; or 8, also mirrored.
        common: see `ImageData`.
    """

    def __init__(
        self, image: str, patch_size: int, stride: int, orientations: int, **common: object
    ) -> None:
        super().__init__(**common)  # type: ignore[arg-type]
        self.image = image
        self.patch_size = patch_size
        self.stride = stride
        self.orientations = orientations

    def open_source(self) -> Source:
        """Cut the patches."""
        return PatchSource(self.image, self.patch_size, self.stride, self.orientations)


class PatchSource(Source):
    """All orientations of the first patch, then of its right neighbor, and so on, row by row.

    Raises:
        UserError: if there is no such photograph, no patch fits in it, or an argument is wrong.
    """

    def __init__(self, image: str, patch_size: int, stride: int, orientations: int) -> None:
        photographs = packaged()
        if image not in photographs:
            known = ", ".join(sorted(photographs))
            raise UserError(
                f"data.image={image} is not in scikit-image's package, which has {known}"
            )
        if orientations not in (1, 4, 8):
            raise UserError(f"data.orientations={orientations} must be 1, 4 or 8")
        for key, value in (("patch_size", patch_size), ("stride", stride)):
            if value < 1:
                raise UserError(f"data.{key}={value} must be at least 1 pixel")
        self.location = f"data.image={image}"
        with Image.open(photographs[image]) as picture:
            self._photograph = np.asarray(picture.convert("RGB"))
        height, width = self._photograph.shape[:2]
        if patch_size > min(height, width):
            raise UserError(
                f"data.patch_size={patch_size} is too large: {image} has {width} x {height} pixels"
            )
        self._settings = (patch_size, stride, orientations)
        tops = range(0, height - patch_size + 1, stride)
        lefts = range(0, width - patch_size + 1, stride)
        self._corners = [(top, left) for top in tops for left in lefts]
        self.labels = np.zeros(len(self._corners) * orientations, dtype=np.int64)
        self.class_names = [image]

    def fingerprint(self) -> str:
        """Hash of the photograph's pixels and of how it is cut."""
        facts = f"patches of {self._photograph.shape}, {self._settings}"
        return hashlib.sha256(facts.encode() + self._photograph.tobytes()).hexdigest()

    def read(self, index: int) -> np.ndarray:
        """Patch `index`, uint8 (patch_size, patch_size, 3)."""
        size, _, orientations = self._settings
        corner, orientation = divmod(index, orientations)
        top, left = self._corners[corner]
        mirror, turns = divmod(orientation, 4)
        patch = self._photograph[top : top + size, left : left + size]
        patch = np.rot90(patch[:, ::-1] if mirror else patch, turns)
        return np.ascontiguousarray(patch)


def packaged() -> dict[str, Path]:
    """The pictures in scikit-image's package, by name; others of its data would be downloaded."""
    folder = Path(skimage.__file__).parent / "data"
    return {file.stem: file for file in folder.iterdir() if file.suffix in (".png", ".jpg")}
