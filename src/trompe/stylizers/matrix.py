"""All contents in all styles as one picture."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor

from trompe.images import from_picture, save_grid, to_picture, to_uint8
from trompe.stylizers.picture_files import Picture, read

_CELL = 160  # pixels of a picture in the matrix


def cell(picture: Image.Image) -> Tensor:
    """The middle square of a picture, uint8 (3, 160, 160)."""
    square = ImageOps.fit(picture.convert("RGB"), (_CELL, _CELL), Image.Resampling.LANCZOS)
    return from_picture(square)


def write_matrix(
    contents: Sequence[Picture], styles: Sequence[Picture], made: list[list[Tensor]], path: Path
) -> None:
    """Contents down, styles across; a mix shows no styles."""

    def small(key: str, picture: Picture) -> Tensor:
        return cell(to_picture(to_uint8(read(key, picture.path, _CELL, picture.limits))[0]))

    corner = torch.full((3, _CELL, _CELL), 255, dtype=torch.uint8)
    rows = [corner, *(small("style", style) for style in styles)] if styles else []
    for content, row in zip(contents, made, strict=True):
        rows += [small("content", content), *row]
    save_grid(torch.stack(rows), path, len(made[0]) + 1)
