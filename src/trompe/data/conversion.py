"""One image of any kind to a uint8 array of the requested size and channels."""

import numpy as np
from PIL import Image, ImageOps

from trompe.data.limits import Unreadable
from trompe.errors import UserError

_GRAY_MODES = {"1", "L", "I", "I;16", "F"}


def resize_filters() -> list[str]:
    """The names of Pillow's resizing filters, as written in configs."""
    return [member.name.lower() for member in Image.Resampling]


def check_filter(name: str) -> None:
    """Refuse a filter that Pillow does not have.

    Raises:
        UserError: listing those it has.
    """
    if name not in resize_filters():
        raise UserError(
            f"data.resize_filter={name} is not a Pillow filter: {', '.join(resize_filters())}"
        )


def to_picture(image: Image.Image | np.ndarray) -> Image.Image:
    """A Pillow image, fully read and turned upright by its EXIF data, if these can be read.

    Args:
        image: a Pillow image, or uint8 (H, W), or (H, W, C) with C 1, 3 or 4.
    """
    if isinstance(image, np.ndarray):
        return Image.fromarray(image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image)
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF data, beside pixels that are whole
        return image


def to_array(
    picture: Image.Image, resolution: int, channels: int, resize_filter: str
) -> np.ndarray:
    """Convert the colors, crop the center square, and resize.

    Pillow's filters are antialiased: they widen when they shrink an image. Colors are converted as
    `convert` says.

    Args:
        picture: a Pillow image of any mode.
        resolution: side of the result, pixels.
        channels: 1 (gray) or 3 (RGB).
        resize_filter: one of `resize_filters()`.

    Returns:
        uint8 (channels, resolution, resolution).

    Raises:
        Unreadable: see `convert`.
    """
    # All of it, so that a picture is refused here if it is refused elsewhere.
    picture = convert(picture, "L" if channels == 1 else "RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    # Cropped first: Pillow's `resize(box=...)` would look at pixels outside the square.
    picture = picture.crop((left, top, left + side, top + side))
    if side != resolution:
        size = (resolution, resolution)
        picture = picture.resize(size, Image.Resampling[resize_filter.upper()])
    array = np.asarray(picture)
    return array[None] if channels == 1 else array.transpose(2, 0, 1)


def is_gray(picture: Image.Image) -> bool:
    """Whether a picture has levels of gray only, by its mode."""
    return picture.mode in _GRAY_MODES


def convert(picture: Image.Image, mode: str) -> Image.Image:
    """A picture of any mode as ``L`` or ``RGB``, or none at all.

    - 8 bits (``L``, ``RGB``), palettes and one bit keep their levels;
    - 16 bits (``I;16`` in any byte order, ``I``) keep the upper 8. More than 16 bits are refused,
      and so is a picture that has only the lower 8, as all of it would be black;
    - floats (``F``) from 0 to 1 become 0 to 255, rounded; others are refused;
    - what is transparent (``RGBA``, ``LA``, ``PA``, premultiplied ``RGBa`` and ``La``, or by one
      color, of the palette or not) shows white;
    - ``CMYK``, ``YCbCr`` and ``HSV`` become RGB by Pillow's formulas, ``LAB`` by its color
      management; gray is ITU-R BT.601's luminance.

    Raises:
        Unreadable: for values that are refused.
    """
    if picture.mode == mode and not picture.has_transparency_data:
        return picture
    if picture.mode == "F":
        picture = _from_floats(np.asarray(picture))
    elif picture.mode == "I" or picture.mode.startswith("I;16"):
        picture = _from_integers(np.asarray(picture))
    elif picture.mode == "La":
        picture = picture.convert("LA")
    elif picture.mode == "LAB":
        picture = picture.convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert(mode)


def _from_floats(values: np.ndarray) -> Image.Image:
    least, most = values.min(), values.max()
    if not (least >= 0 and most <= 1):  # which is so if one of them is no number
        raise Unreadable(f"floats from {least:g} to {most:g}: only 0 to 1 is known to be gray")
    return Image.fromarray(np.rint(values * 255).astype(np.uint8))


def _from_integers(values: np.ndarray) -> Image.Image:
    least, most = int(values.min()), int(values.max())
    if least < 0 or most > 65535:
        raise Unreadable(f"integers from {least} to {most}: more than 16 bits are not known")
    if 0 < most < 256:
        raise Unreadable(f"16-bit values of at most {most}, all of them black: save it with 8 bits")
    # Pillow's own conversion would cut off at 255.
    return Image.fromarray((values.astype(np.int64) >> 8).astype(np.uint8))
