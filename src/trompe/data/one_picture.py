"""The data of Deep Image Prior: one degraded picture, again and again."""

import hashlib
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from trompe.data.degradations import Degradation
from trompe.data.limits import LIMITS, Limits
from trompe.data.loader import TrainingData
from trompe.data.patches import packaged
from trompe.data.picture_file import read_picture
from trompe.errors import UserError, check_count
from trompe.images import from_picture
from trompe.paths import expand


class Observation(NamedTuple):
    """A degraded picture (n, C, h, w), float32 in [0, 1], and where it is known (n, 1, h, w)."""

    degraded: Tensor
    known: Tensor


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
        picture = self._read("data.picture", self.picture, self.size)
        self.reference: Tensor | None = None
        if self.degrade:
            self.reference = picture
            picture = self.degradation.degrade(picture, self.seed)
        height, width = picture.shape[2:]
        self.known = self.degradation.known(height, width, self.seed)
        self.degraded = picture
        if self._reference is not None:
            self.reference = self._read("data.reference", self._reference)
            if tuple(self.reference.shape[2:]) != self.restored_size:
                height, width = self.restored_size
                h, w = self.reference.shape[2:]
                raise UserError(
                    f"data.reference={self._reference} has {w} x {h} pixels, but the restored "
                    f"picture has {width} x {height}"
                )

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
        return SamePicture(Observation(self.degraded, self.known))

    def show(self, count: int) -> Tensor:
        """The degraded picture, as large as the restored one, and the good one if it is known."""
        enlarged = interpolate(self.degraded, self.restored_size)
        shown = [enlarged] if self.reference is None else [enlarged, self.reference]
        return (torch.cat(shown) * 255).round().byte()

    def _read(self, key: str, picture: str, size: int | None = None) -> Tensor:
        known = packaged()
        path = known.get(picture) or expand(picture, key)
        names = f"; scikit-image's photographs are {', '.join(sorted(known))}"
        more = "" if path.exists() else names
        image = read_picture(key, path, "L" if self.channels == 1 else "RGB", self.limits, more)
        if size is not None:
            scale = size / min(image.size)
            sides = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            image = image.resize(sides, Image.Resampling.LANCZOS)
        return from_picture(image)[None].float() / 255


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
