"""The files that `trompe stylize` reads and writes."""

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageSequence, UnidentifiedImageError
from torch import Tensor

from trompe.data.conversion import convert, to_picture
from trompe.data.picture_folder import is_picture
from trompe.errors import UserError
from trompe.images import to_signed
from trompe.networks.perceptual_network import MINIMUM_SIDE

_FRAME_MS = 100  # where an animation does not say how long a frame is shown


class Picture(NamedTuple):
    """A file, and whether it moves."""

    path: Path
    frames: int

    @property
    def suffix(self) -> str:
        """Suffix of the files made from it."""
        return ".gif" if self.frames > 1 else ".png"


def find_pictures(key: str, spec: str | Sequence[str], size: float | None) -> list[Picture]:
    """The files that a path, a folder, a pattern or a list of them stands for, sorted by name.

    Each is read once, so that problems are reported before work starts on any.

    Raises:
        UserError: if one of them matches nothing, cannot be read or is too small.
    """
    paths: list[Path] = []
    for one in [spec] if isinstance(spec, str) else spec:
        path = Path(one).expanduser()
        if path.is_dir():
            files = sorted(f for f in path.rglob("*") if is_picture(str(f.relative_to(path))))
            if not files:
                raise UserError(f"{key}={one} is a folder without pictures")
        else:
            files = [path] if path.is_file() else sorted(map(Path, glob.glob(str(path))))
            if not files:
                raise UserError(f"{key}={one}: there is no such picture or folder")
        paths += files
    return [Picture(path, sum(1 for _ in read_frames(key, path, size))) for path in paths]


def name_targets(
    out: Path, contents: Sequence[Picture], styles: Sequence[Picture], mixed: bool
) -> list[list[Path]]:
    """A row for each content, with the file for each style, or for the only one.

    Raises:
        UserError: if two of them would be the same file.
    """
    one = mixed or len(styles) < 2
    folders = [out] if one else [out / style.path.stem for style in styles]
    rows = [[folder / f"{c.path.stem}{c.suffix}" for folder in folders] for c in contents]
    flat = [path for row in rows for path in row]
    double = next((path for path in flat if flat.count(path) > 1), None)
    if double is not None:
        raise UserError(
            f"two pictures would both be written to {double}: give them different names"
        )
    return rows


def read(key: str, path: Path, size: float | None) -> Tensor:
    """The first frame of `read_frames`."""
    return next(read_frames(key, path, size))[0]


def read_frames(key: str, path: Path, size: float | None) -> Iterator[tuple[Tensor, int]]:
    """Frames (1, 3, H, W) in [-1, 1], the shorter side `size` pixels, and milliseconds of each.

    Upright by EXIF, transparent pixels white, 16-bit and CMYK converted.

    Raises:
        UserError: if it cannot be read or is too small.
    """
    try:
        with Image.open(path) as image:
            for frame in ImageSequence.Iterator(image):
                shown = int(frame.info.get("duration", 0)) or _FRAME_MS
                yield _to_tensor(key, path, convert(to_picture(frame), "RGB"), size), shown
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise UserError(f"{key}={path} cannot be read: {error}") from error


def _to_tensor(key: str, path: Path, picture: Image.Image, size: float | None) -> Tensor:
    if size is not None:
        scale = size / min(picture.size)
        sides = (max(1, round(side * scale)) for side in picture.size)
        picture = picture.resize(tuple(sides), Image.Resampling.LANCZOS)  # type: ignore[arg-type]
    if min(picture.size) < MINIMUM_SIDE:
        raise UserError(
            f"{key}={path} has {picture.width} x {picture.height} pixels: at least {MINIMUM_SIDE} "
            "on each side are needed; a larger size= enlarges it"
        )
    return to_signed(torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None])
