"""A picture with all that its file holds: 16 bits, transparency, color profile."""

import io
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import png
import torch
from PIL import Image
from torch import Tensor

from trompe.data import decoder
from trompe.data.conversion import convert
from trompe.data.files import read_file
from trompe.data.limits import LIMITS, Limits, Unreadable, explained
from trompe.errors import UserError
from trompe.files import whole_path
from trompe.images import from_picture, luminance, resized

_ORIENTATION = 0x0112  # in EXIF data


@dataclass
class FinePicture:
    """A picture, and how it is to be written again.

    Args:
        pixels: (1, C, H, W), float32 in [0, 1]; C is 1 (gray) or 3 (RGB).
        opacity: (1, 1, H, W), the same; None if all is opaque.
        depth: bits of each value in the file, 8 or 16.
        profile: of its colors, as ICC writes it; None if it has none.
    """

    pixels: Tensor
    opacity: Tensor | None = None
    depth: int = 8
    profile: bytes | None = None

    def with_pixels(self, pixels: Tensor) -> "FinePicture":
        """Other pixels, perhaps of another size, with the same transparency, depth and profile."""
        opacity = self.opacity
        if opacity is not None and opacity.shape[2:] != pixels.shape[2:]:
            height, width = pixels.shape[2:]
            opacity = resized(opacity, height, width).clamp(0, 1)
        return replace(self, pixels=pixels, opacity=opacity)

    def save(self, path: Path) -> None:
        """Write it as PNG, whole or not at all.

        Raises:
            UserError: if it cannot be written.
        """
        parts = [self.pixels] if self.opacity is None else [self.pixels, self.opacity]
        levels = torch.cat([part.cpu() for part in parts], 1)[0].clamp(0, 1) * (2**self.depth - 1)
        values = levels.round().permute(1, 2, 0).contiguous().numpy()
        height, width, planes = values.shape
        with whole_path(path) as temporary:
            if self.depth == 8:
                array = values.astype(np.uint8)
                picture = Image.fromarray(array[..., 0] if planes == 1 else array)
                picture.save(temporary, "PNG", icc_profile=self.profile)
                return
            rows = values.astype(np.uint16).reshape(height, width * planes)
            writer = png.Writer(
                width, height, greyscale=planes < 3, alpha=planes in (2, 4), bitdepth=16
            )
            file = io.BytesIO()
            writer.write(file, rows)
            file.seek(0)
            chunks = list(png.Reader(file).chunks())
            if self.profile is not None:
                chunks.insert(1, (b"iCCP", _packed(self.profile)))
            with temporary.open("wb") as out:
                png.write_chunks(out, chunks)


def read_fine(
    key: str, path: Path, channels: int, limits: Limits = LIMITS, more: str = ""
) -> FinePicture:
    """The file's first picture, upright.

    Args:
        key: of the config that names it.
        path: the file.
        channels: of the pixels, 1 (gray) or 3 (RGB).
        limits: what it may have.
        more: is said, too, if it cannot be read.

    Raises:
        UserError: if it cannot be read.
    """
    try:
        content = read_file(path, limits)
        frame, _ = next(decoder.read_frames(content, limits))
        profile = frame.info.get("icc_profile")
        found = _sixteen_bits(content, frame, channels)
        if found is None:
            found = _eight_bits(frame, channels)
    except Unreadable as error:
        raise UserError(f"{key}={path} cannot be read: {error}{more}") from error
    return replace(found, profile=profile or None)


def _eight_bits(frame: Image.Image, channels: int) -> FinePicture:
    mode = "L" if channels == 1 else "RGB"
    if not frame.has_transparency_data:
        return FinePicture(from_picture(convert(frame, mode))[None].float() / 255)
    both = frame.convert("RGBA")
    opacity = from_picture(both.getchannel("A"))[None].float() / 255
    colors = from_picture(both.convert("RGB").convert(mode))[None].float() / 255
    return FinePicture(colors, opacity if bool((opacity < 1).any()) else None)


def _sixteen_bits(content: bytes, frame: Image.Image, channels: int) -> FinePicture | None:
    """The same of a PNG with 16 bits, of which Pillow keeps the upper 8; None of any other."""
    is_png = content[:8] == png.signature
    if not is_png or content[24] != 16 or frame.getexif().get(_ORIENTATION, 1) != 1:
        return None
    with explained():
        width, height, rows, _ = png.Reader(bytes=content).asDirect()
        array = np.vstack([np.asarray(row) for row in rows]).reshape(height, width, -1)
        values = torch.from_numpy(array.astype(np.float32)).permute(2, 0, 1)[None] / 65535
    colors, opacity = values, None
    if values.shape[1] in (2, 4):
        colors, opacity = values[:, :-1], values[:, -1:]
    if colors.shape[1] != channels:
        colors = colors.expand(-1, 3, -1, -1) if channels == 3 else luminance(colors)
    return FinePicture(colors.contiguous(), opacity, 16)


def _packed(profile: bytes) -> bytes:
    """An iCCP chunk: PNG, section 11.3.3.3."""
    return b"ICC profile\0\0" + zlib.compress(profile)
