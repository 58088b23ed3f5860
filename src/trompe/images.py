"""Turning generated tensors into picture files."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from trompe.files import whole_path

_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, of red, green and blue


def to_uint8(images: Tensor) -> Tensor:
    """Images in [-1, 1] to uint8, rounded to nearest; any shape."""
    return (images * 127.5).add_(127.5).round_().clamp_(0, 255).to(torch.uint8)


def to_levels(images: Tensor) -> Tensor:
    """Images in [0, 1] to uint8, rounded to nearest; any shape."""
    return (images * 255).round().clamp(0, 255).byte()


def resized(images: Tensor, height: int, width: int) -> Tensor:
    """Floating-point images (N, C, H, W) of another size: bicubic, antialiased, as Pillow's."""
    return interpolate(images, (height, width), mode="bicubic", antialias=True)


def enlarged(images: Tensor, factor: int) -> Tensor:
    """Images (N, C, H, W) enlarged by bicubic interpolation, which may overshoot; float32."""
    height, width = images.shape[2:]
    return resized(images.float(), factor * height, factor * width)


def to_signed(images: Tensor) -> Tensor:
    """uint8 images (N, C, H, W) to floats in [-1, 1], channels last."""
    floats = images.contiguous(memory_format=torch.channels_last).float()
    return floats.div_(127.5).sub_(1)


def luminance(images: Tensor) -> Tensor:
    """The brightness (N, 1, H, W) of images (N, 1 or 3, H, W), by ITU-R BT.601."""
    if images.shape[1] == 1:
        return images
    weights = torch.tensor(_LUMINANCE, device=images.device, dtype=images.dtype)
    return (images * weights[:, None, None]).sum(1, keepdim=True)


def to_picture(image: Tensor) -> Image.Image:
    """One uint8 image (C, H, W) with 1 or 3 channels as a Pillow image."""
    array = image.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)


def from_picture(picture: Image.Image) -> Tensor:
    """A Pillow image in RGB or gray as uint8 (3 or 1, H, W)."""
    array = np.array(picture)
    return torch.from_numpy(array if array.ndim == 3 else array[..., None]).permute(2, 0, 1)


def middle_square(images: Tensor) -> Tensor:
    """The largest square in the middle of images (N, C, H, W)."""
    height, width = images.shape[2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return images[..., top : top + side, left : left + side]


def make_grid(images: Tensor, columns: int | None = None, gap: int = 2) -> Tensor:
    """Lay uint8 images (N, C, H, W) out as one (C, H', W') with `gap` white pixels between.

    Args:
        images: the images, row by row.
        columns: images in a row; the default makes the grid as square as possible.
        gap: pixels between neighbors.
    """
    count, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    size = (channels, rows * (height + gap) - gap, columns * (width + gap) - gap)
    grid = torch.full(size, 255, dtype=torch.uint8)
    for i, image in enumerate(images):
        y, x = (i // columns) * (height + gap), (i % columns) * (width + gap)
        grid[:, y : y + height, x : x + width] = image
    return grid


def save_picture(picture: Image.Image, path: Path, **options: Any) -> None:
    """Write a picture, whole or not at all, making its folder if need be.

    Raises:
        UserError: if it cannot be written.
    """
    with whole_path(path) as temporary:
        picture.save(temporary, **options)


def save_animation(
    frames: Sequence[Image.Image], path: Path, duration: int | Sequence[int], **options: Any
) -> None:
    """Write frames as a GIF that loops forever, each shown for its `duration` in milliseconds."""
    others = {"save_all": True, "append_images": frames[1:], "loop": 0}
    save_picture(frames[0], path, duration=duration, **others, **options)


def save_grid(images: Tensor, path: Path, columns: int | None = None) -> None:
    """Write uint8 images (N, C, H, W) as one grid picture."""
    save_picture(to_picture(make_grid(images, columns)), path)
