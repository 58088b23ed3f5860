"""The data of Deep Image Prior: one degraded picture, again and again."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from trompe.data.degradations import Degradation
from trompe.data.fine_picture import FinePicture, read_fine
from trompe.data.limits import LIMITS, Limits
from trompe.data.loader import TrainingData
from trompe.data.patches import packaged
from trompe.errors import UserError, check_count
from trompe.images import resized, to_levels
from trompe.paths import expand


class Observation(NamedTuple):
    """A degraded picture (n, C, h, w), float32 in [0, 1], and where it is known (n, 1, h, w).

    `reference` is the good one (n, C, H, W); (n, 0, H, W) if nobody knows it.
    """

    degraded: Tensor
    known: Tensor
    reference: Tensor


class OnePicture(TrainingData):
    """One picture: degraded here, so that the good one is known, or degraded already.

    Args:
        picture: a file, or the name of a photograph in scikit-image's package.
        degradation: what happens to it, or has happened.
        degrade: whether it happens here; otherwise the picture is taken as it is.
        size: the shorter side that it is scaled to first, pixels; None leaves it.
        reference: the good picture, a file of the restored size, if it is known.
        seed: of the degradation's chance, not the experiment's.
        channels: 1 (gray) or 3 (RGB).
        max_pixels: larger pictures are not read.

    Attributes:
        degraded: (1, C, h, w), float32 in [0, 1]; after `setup`, as all that follow.
        known: where it is known, (1, 1, h, w) of 1 and 0.
        reference: the good picture (1, C, H, W) in [0, 1]; None if nobody knows it.

    Raises:
        UserError: if a picture cannot be read, or sizes do not belong together.
    """

    batch_type = Observation

    def __init__(
        self,
        picture: str,
        degradation: Degradation,
        degrade: bool,
        size: int | None = None,
        reference: str | None = None,
        seed: int = 0,
        channels: int = 3,
        max_pixels: int = LIMITS.max_pixels,
    ) -> None:
        super().__init__()
        if degrade and reference is not None:
            raise UserError(
                "data.reference is for a picture that is degraded already: with data.degrade=true "
                "it is the picture itself"
            )
        if size is not None:
            check_count("data.size", size)
        self.picture = picture
        self.degradation = degradation
        self.degrade = degrade
        self.size = size
        self.seed = seed
        self.channels = channels
        self.limits = Limits(max_pixels)
        self._reference = reference

    def setup(self, stage: str | None = None) -> None:
        """Read the picture and degrade it. Does nothing the second time."""
        if hasattr(self, "degraded"):
            return
        self.given = self._read("data.picture", self.picture, self.size)
        picture = self.given.pixels
        self.reference: Tensor | None = None
        if self.degrade:
            self.reference = picture
            picture = self.degradation.degrade(picture, self.seed)
        height, width = picture.shape[2:]
        self.known = self.degradation.known(height, width, self.seed)
        self.degraded = picture
        if self._reference is not None:
            self.reference = self._read("data.reference", self._reference).pixels
            if tuple(self.reference.shape[2:]) != self.restored_size:
                height, width = self.restored_size
                h, w = self.reference.shape[2:]
                raise UserError(
                    f"data.reference={self._reference} has {w} x {h} pixels, but the restored "
                    f"picture has {width} x {height}"
                )

    @property
    def decides(self) -> dict[str, Any]:
        """The restored picture's sides, for which the model is made."""
        height, width = self.restored_size
        return {"height": height, "width": width}

    @property
    def restored_size(self) -> tuple[int, int]:
        """Height and width of the restored picture."""
        height, width = self.degraded.shape[2:]
        return height * self.degradation.factor, width * self.degradation.factor

    @property
    def fingerprint(self) -> str:
        """Hash of the degraded picture, of where it is known, and of the good one."""
        digest = hashlib.sha256()
        for part in (self.degraded, self.known, self.reference):
            if part is not None:
                digest.update(f"{tuple(part.shape)}".encode() + part.contiguous().numpy().tobytes())
        return digest.hexdigest()[:32]

    def stream(self, seed: int, batch_size: int) -> "SamePicture":
        """The picture, in every batch.

        Raises:
            UserError: if a batch has more than one.
        """
        if batch_size != 1:
            raise UserError(f"batch_size={batch_size} must be 1: there is one picture")
        self.setup()
        unknown = torch.empty(1, 0, *self.restored_size)
        reference = unknown if self.reference is None else self.reference
        return SamePicture(Observation(self.degraded, self.known, reference))

    @property
    def plain(self) -> Tensor:
        """What a plain way makes of the degraded picture, see `Degradation.undo`."""
        return self.degradation.undo(self.degraded, self.known)

    def show(self, count: int) -> Tensor:
        """What a plain way makes of the degraded one, and the good one if it is known."""
        shown = [self.plain] if self.reference is None else [self.plain, self.reference]
        return to_levels(torch.cat(shown))

    def complete(self, restored: Tensor) -> Tensor:
        """A restored picture (1, C, H, W) on the CPU, with what is known for certain as it is."""
        return self.degradation.complete(restored.cpu(), self.degraded, self.known)

    def save(self, restored: Tensor, path: Path) -> None:
        """Write a restored picture (1, C, H, W) in [0, 1], with what else its file had."""
        self.given.with_pixels(restored).save(path)

    def _read(self, key: str, picture: str, size: int | None = None) -> FinePicture:
        known = packaged()
        path = known.get(picture) or expand(picture, key)
        names = f"; scikit-image's photographs are {', '.join(sorted(known))}"
        more = "" if path.exists() else names
        found = read_fine(key, path, self.channels, self.limits, more)
        if size is None:
            return found
        height, width = found.pixels.shape[2:]
        scale = size / min(height, width)
        sides = (max(1, round(height * scale)), max(1, round(width * scale)))
        return found.with_pixels(resized(found.pixels, *sides).clamp(0, 1))


class SamePicture:
    """Batches that are all the same.

    Args:
        observation: a batch.
    """

    def __init__(self, observation: Observation) -> None:
        self.observation = observation

    def batch(self, position: int, rows: slice | Tensor) -> Observation:
        """Those rows of it."""
        return Observation(*(part[rows] for part in self.observation))
