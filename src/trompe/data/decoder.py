"""The one decoder of picture files: bytes to Pillow images, within limits."""

import contextlib
import io
import warnings
from collections.abc import Iterator

from PIL import Image, ImageSequence

from trompe.data.conversion import to_picture
from trompe.data.formats import register_plugins
from trompe.data.limits import Limits, Unreadable, explained

# Files whose several pictures follow each other in time. Those of others are pages, layers, or of
# a telephone: the same view for another eye, or how much brighter a better screen may show it.
_ANIMATED = {"GIF", "PNG", "WEBP"}
_LFS_POINTER = b"version https://git-lfs"

# Pillow's own limit holds for pictures within pictures, too; between one and two times it would
# only warn.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


def open_picture(content: bytes, limits: Limits) -> Image.Image:
    """A picture by its header; its pixels are read when they are asked for.

    Args:
        content: of the file.
        limits: what the picture may have.

    Raises:
        Unreadable: if it is no picture, or too large.
    """
    if not content:
        raise Unreadable("empty")
    if content.startswith(_LFS_POINTER):
        raise Unreadable("a Git LFS pointer: run git lfs pull")
    register_plugins()
    # Never lowered: other threads may be reading for a set with a higher limit.
    Image.MAX_IMAGE_PIXELS = max(limits.max_pixels, Image.MAX_IMAGE_PIXELS or 0)
    with explained():
        try:
            picture = Image.open(io.BytesIO(content))
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            limits.check_size(_size(content))
            raise  # for a picture within it
        limits.check_size(picture.size)
    return picture


def read_frames(content: bytes, limits: Limits) -> Iterator[tuple[Image.Image, int]]:
    """The frames of an animation, or the first picture of any other file, upright.

    Animations are GIF, APNG and WebP files.

    Args:
        content: of the file.
        limits: what each frame may have.

    Yields:
        A Pillow image of any mode, and the milliseconds it is shown, 0 where the file does not say.

    Raises:
        Unreadable: if one of them is no picture, or too large.
    """
    picture = open_picture(content, limits)
    with explained():
        if picture.format not in _ANIMATED:
            yield to_picture(picture), 0
            return
        frames = ImageSequence.Iterator(picture)
        if getattr(picture, "default_image", False):
            next(frames)  # of an APNG: shown only by what cannot show the others
        for frame in frames:
            limits.check_size(frame.size)
            yield to_picture(frame), int(frame.info.get("duration", 0))


def _size(content: bytes) -> tuple[int, int] | None:
    """What the header of a picture says that Pillow refuses to open."""
    for factory, accept in Image.OPEN.values():
        if accept is not None and accept(content[:16]) is True:
            with contextlib.suppress(Exception):
                return factory(io.BytesIO(content), "").size
    return None
