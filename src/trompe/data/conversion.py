"""One image of any kind to a uint8 array of the requested size and channels."""

import numpy as np
from PIL import Image, ImageOps

from trompe.errors import UserError


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
    """A Pillow image, fully read and turned upright by its EXIF data.

    Args:
        image: a Pillow image, or uint8 (H, W), or (H, W, C) with C 1, 3 or 4.
    """
    if isinstance(image, np.ndarray):
        return Image.fromarray(image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image)
    image.load()
    return ImageOps.exif_transpose(image)


def to_array(
    picture: Image.Image, resolution: int, channels: int, resize_filter: str
) -> np.ndarray:
    """Crop the center square, convert the colors, and resize.

    Pillow's filters are antialiased: they widen when they shrink an image. Transparent pixels show
    white, colors become gray by ITU-R BT.601, 16-bit grays keep their upper 8 bits.

    Args:
        picture: a Pillow image of any mode.
        resolution: side of the result, pixels.
        channels: 1 (gray) or 3 (RGB).
        resize_filter: one of `resize_filters()`.

    Returns:
        uint8 (channels, resolution, resolution).
    """
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    # Cropped first: Pillow's `resize(box=...)` would look at pixels outside the square.
    picture = picture.crop((left, top, left + side, top + side))
    picture = convert(picture, "L" if channels == 1 else "RGB")
    if side != resolution:
        size = (resolution, resolution)
        picture = picture.resize(size, Image.Resampling[resize_filter.upper()])
    array = np.asarray(picture)
    return array[None] if channels == 1 else array.transpose(2, 0, 1)


def convert(picture: Image.Image, mode: str) -> Image.Image:
    """A picture as mode ``L`` or ``RGB``: transparent shows white, 16 bits keep the upper 8."""
    if picture.mode == mode:
        return picture
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        # Pillow's own conversion would cut off at 255.
        gray = np.clip(np.asarray(picture).astype(np.int64), 0, 65535) >> 8
        picture = Image.fromarray(gray.astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert(mode)
