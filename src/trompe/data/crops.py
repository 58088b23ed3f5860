"""Random square crops of square images, drawn at once and resized with antialiasing."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from trompe.errors import UserError


def check_crop_min(crop_min: float) -> None:
    """Refuse an impossible crop area.

    Raises:
        UserError: if it is not in (0, 1].
    """
    if not 0 < crop_min <= 1:
        raise UserError(f"data.crop_min={crop_min} must be more than 0 and at most 1")


def check_resolutions(resolution: int, source_resolution: int) -> None:
    """Refuse crops that do not fit in what they are cut from.

    Raises:
        UserError: unless 1 <= resolution <= source_resolution.
    """
    if not 1 <= resolution <= source_resolution:
        raise UserError(
            f"data.resolution={resolution} must be at least 1 pixel and at most "
            f"data.source_resolution={source_resolution}"
        )


def draw_crops(count: int, side: int, crop_min: float, generator: torch.Generator) -> Tensor:
    """Places of random crops, anywhere inside of the image.

    Args:
        count: number of crops.
        side: of the images, pixels.
        crop_min: smallest area of a crop, as a share of the image; areas are uniform up to 1.
        generator: what they are drawn from.

    Returns:
        LongTensor (count, 3): top, left and side, pixels.
    """
    area, down, right = torch.rand(3, count, generator=generator, dtype=torch.float64)
    smallest = (crop_min + (1 - crop_min) * area).sqrt() * side
    sides = smallest.ceil().long().clamp(1, side)
    room = side - sides + 1
    return torch.stack([(down * room).long(), (right * room).long(), sides], dim=1)


def draw_windows(count: int, side: int, window: int, generator: torch.Generator) -> Tensor:
    """Places of random crops of one size, anywhere inside of the image.

    Args:
        count: number of crops.
        side: of the images, pixels.
        window: side of the crops, pixels; at most `side`.
        generator: what they are drawn from.

    Returns:
        LongTensor (count, 3): top, left and side, pixels.
    """
    down, right = torch.randint(side - window + 1, (2, count), generator=generator)
    return torch.stack([down, right, torch.full_like(down, window)], dim=1)


def cut(images: Tensor, crops: Tensor, resolution: int) -> Tensor:
    """Cut a crop from each image, and resize it.

    Args:
        images: uint8 (n, C, H, W).
        crops: (n, 3), see `draw_crops`.
        resolution: side of the result, pixels.

    Returns:
        uint8 (n, C, resolution, resolution).
    """
    pixels = images.numpy()
    result = np.empty((len(pixels), pixels.shape[1], resolution, resolution), dtype=np.uint8)
    for i, (top, left, side) in enumerate(crops.tolist()):
        # NumPy copies: torch would wake its threads for it, which on busy cores costs 100 times
        # as long as the resizing.
        part = np.ascontiguousarray(pixels[i : i + 1, :, top : top + side, left : left + side])
        result[i] = resize(torch.from_numpy(part), resolution)[0].numpy()
    return torch.from_numpy(result)


def resize(images: Tensor, resolution: int) -> Tensor:
    """Square images, uint8 (n, C, H, H), of another resolution, by bicubic antialiased filtering.

    Not by a softer filter: brush strokes are a few pixels wide.
    """
    if images.shape[-1] == resolution or not len(images):
        return images
    size = (resolution, resolution)
    return interpolate(images, size, mode="bicubic", antialias=True, align_corners=False)
