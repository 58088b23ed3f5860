"""The files that `trompe stylize` reads and writes."""

import glob
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from torch import Tensor

from trompe.data import decoder
from trompe.data.conversion import convert
from trompe.data.files import Directory, read_file
from trompe.data.formats import hint, is_picture, passed_over
from trompe.data.limits import LIMITS, Limits, Unreadable, explained
from trompe.data.source import tell
from trompe.errors import UserError, show
from trompe.images import from_picture, to_signed
from trompe.networks.perceptual_network import MINIMUM_SIDE
from trompe.paths import expand

_LONGEST = 32  # times as long as wide: at 256 pixels, 2 megapixels
_FRAME_MS = 100  # where an animation does not say how long a frame is shown


class Picture(NamedTuple):
    """A file, how many frames it has, and what each may have."""

    path: Path
    frames: int
    limits: Limits = LIMITS

    @property
    def suffix(self) -> str:
        """Suffix of the files made from it."""
        return ".gif" if self.frames > 1 else ".png"


def find_pictures(
    key: str,
    spec: str | Sequence[str],
    size: float | None,
    limits: Limits = LIMITS,
    on_corrupt: str = "error",
) -> list[Picture]:
    """The files that a path, a folder, a pattern or a list of them stands for, sorted by name.

    Each is read once, so that problems are reported before work starts on any.

    Args:
        key: of the config.
        spec: what it says.
        size: to which they are scaled, see `as_tensor`.
        limits: what each may have.
        on_corrupt: ``"error"``, or ``"skip"`` to leave out, with a line each, what cannot be used.

    Raises:
        UserError: if one of them matches nothing, or cannot be read or scaled.
    """
    if spec is None or not len(spec):
        raise UserError(f"{key}={show(spec)} names no pictures")
    paths: list[Path] = []
    for one in [spec] if isinstance(spec, str) else spec:
        path = expand(one, key)
        matches = [path] if path.exists() else sorted(map(Path, glob.glob(str(path))))
        if not matches:
            raise UserError(f"{key}={one}: there is no such picture or folder")
        for match in matches:
            paths += _pictures_of(match, f"{key}={one}") if match.is_dir() else [match]

    def count(path: Path) -> int:
        return sum(1 for _ in read_frames(key, path, size, limits))

    found, left_out = [], []
    for path in paths:
        try:
            found.append(Picture(path, count(path), limits))
        except UserError as error:
            if on_corrupt == "error":
                raise
            left_out.append(f"left out: {error}")
    tell(left_out)
    if not found:
        raise UserError(f"{key}={show(spec)}: none of {len(paths)} pictures can be used")
    return found


def _pictures_of(folder: Path, location: str) -> list[Path]:
    names = Directory(folder).names()
    others = passed_over(names)
    found = [folder / name for name in sorted(names) if is_picture(name)]
    if not found:
        raise UserError(
            f"{location} is a folder without pictures" + (f"; it has {others}" if others else "")
        )
    tell([f"{location}: passed over {others}"] if others else [])
    return found


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


def check_inputs(wanted: Sequence[Path], given: Iterable[Path]) -> None:
    """Refuse to write over a picture that is read, even with ``overwrite=true``.

    Raises:
        UserError: naming it.
    """
    given_files = {path.resolve() for path in given}
    same = next((path for path in wanted if path.resolve() in given_files), None)
    if same is not None:
        raise UserError(f"{same} is one of the given pictures: choose another out=")


def read(key: str, path: Path, size: float | None, limits: Limits = LIMITS) -> Tensor:
    """The first frame of `read_frames`."""
    return next(read_frames(key, path, size, limits))[0]


def read_frames(
    key: str, path: Path, size: float | None, limits: Limits = LIMITS
) -> Iterator[tuple[Tensor, int]]:
    """Frames (1, 3, H, W) in [-1, 1], the shorter side `size` pixels, and milliseconds of each.

    Upright by EXIF, in RGB as `trompe.data.conversion.convert` says. What is no animation has one.

    Raises:
        UserError: if it cannot be read or is too small.
    """
    try:
        for frame, shown in decoder.read_frames(read_file(path, limits), limits):
            with explained():
                picture = convert(frame, "RGB")
            yield as_tensor(key, path, picture, size, limits), shown or _FRAME_MS
    except Unreadable as error:
        advice = hint(path.name)
        more = f" ({advice})" if advice else ""
        raise UserError(f"{key}={path} cannot be read: {error}{more}") from error


def as_tensor(
    key: str,
    path: Path | str,
    picture: Image.Image,
    size: float | None,
    limits: Limits = LIMITS,
) -> Tensor:
    """A picture in RGB as (1, 3, H, W) in [-1, 1], the shorter side `size` pixels, or as it is.

    Raises:
        UserError: if it is too small, or would become too large, naming it as ``key=path``.
    """
    before = f"{key}={path} has {picture.width} x {picture.height} pixels"
    size_key = "style_size" if key == "style" else "size"
    if size is not None:
        _check_length(before, picture.size)
        scale = size / min(picture.size)
        if scale > math.sqrt(limits.max_pixels / math.prod(picture.size)):
            raise UserError(
                f"{before}: {size_key}={show(size)} would make more than "
                f"{limits.key}={limits.max_pixels} of them"
            )
        sides = (max(1, round(side * scale)) for side in picture.size)
        picture = picture.resize(tuple(sides), Image.Resampling.LANCZOS)  # type: ignore[arg-type]
    if min(picture.size) < MINIMUM_SIDE:
        raise UserError(
            f"{key}={path} has {picture.width} x {picture.height} pixels: at least {MINIMUM_SIDE} "
            f"on each side are needed; a larger {size_key}= enlarges it"
        )
    return to_signed(from_picture(picture)[None])


def _check_length(before: str, sides: tuple[int, int]) -> None:
    """A line, a banner: its shorter side cannot be enlarged without its longer one."""
    if max(sides) > _LONGEST * min(sides):
        raise UserError(
            f"{before}: more than {_LONGEST} times as long as wide; cut out a part of it"
        )
