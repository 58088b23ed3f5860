"""One picture from a file of its own."""

from pathlib import Path

from PIL import Image

from trompe.data import decoder
from trompe.data.conversion import convert
from trompe.data.files import read_file
from trompe.data.limits import LIMITS, Limits, Unreadable
from trompe.errors import UserError


def read_picture(
    key: str, path: Path, mode: str, limits: Limits = LIMITS, more: str = ""
) -> Image.Image:
    """The file's first picture, upright, as ``L`` or ``RGB``.

    Args:
        key: of the config that names it.
        path: the file.
        mode: of the result.
        limits: what it may have.
        more: is said, too, if it cannot be read.

    Raises:
        UserError: if it cannot be read.
    """
    try:
        frame, _ = next(decoder.read_frames(read_file(path, limits), limits))
        return convert(frame, mode)
    except Unreadable as error:
        raise UserError(f"{key}={path} cannot be read: {error}{more}") from error
