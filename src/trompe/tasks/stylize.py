"""The stylize task: pictures with the content of some files and the style of others."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, ListConfig
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

from trompe.data.limits import Limits
from trompe.errors import UserError, check_number, check_positive, show
from trompe.images import save_animation, save_grid, save_picture, to_picture, to_uint8
from trompe.parts import make
from trompe.paths import expand
from trompe.stylizers.picture_files import Picture, find_pictures, name_targets, read, read_frames
from trompe.stylizers.stylizer import Stylizer

# ITU-R BT.601: RGB to brightness and two differences of color.
_TO_YIQ = torch.tensor(
    [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]]
)
_CELL = 160  # pixels of a picture in the matrix


def stylize(cfg: DictConfig) -> list[Path]:
    """Write what `stylize.yaml` asks for; returns the files.

    `<out>/<content>.png` for one style or a mix of them, `<out>/<style>/<content>.png` for several,
    and `matrix.png`; `.gif` instead for contents that move.

    Raises:
        UserError: if a run, picture or value is wrong, or files exist and `overwrite` is false.
    """
    check_values(cfg)
    stylizer: Stylizer = make(cfg.stylizer, "stylizer")
    if stylizer.takes_style == (cfg.style is None):
        raise UserError(
            "style= is missing: name a picture or a folder"
            if stylizer.takes_style
            else f"{stylizer.name} knows one style only: leave style= out"
        )
    limits = Limits(cfg.max_pixels, "max_pixels")
    contents = find_pictures("content", cfg.content, cfg.size, limits)
    given = () if cfg.style is None else cfg.style
    styles = find_pictures("style", given, cfg.style_size, limits)
    out = expand(cfg.out, "out")
    targets = name_targets(out, contents, styles, cfg.style_weights is not None)
    matrix = out / "matrix.png"
    wanted = [*(path for row in targets for path in row), *([matrix] if cfg.matrix else [])]
    there = [path for path in wanted if path.exists()]
    if there and not cfg.overwrite:
        raise UserError(f"{there[0]} already exists: set overwrite=true or another out=")

    codes = describe(stylizer, styles, cfg)
    total = sum(content.frames for content in contents) * len(codes)
    progress = tqdm(total=total, unit="picture", disable=None, leave=False)
    cells: list[list[Tensor]] = []
    for content, row in zip(contents, targets, strict=True):
        cells.append([])
        for code, target in zip(codes, row, strict=True):
            first = write(stylizer, content, code, target, cfg, progress)
            cells[-1].append(cell(first))
    progress.close()
    print(f"{sum(map(len, cells))} pictures by {stylizer.name} in {out}")
    if cfg.matrix:
        write_matrix(contents, styles if cfg.style_weights is None else [], cells, matrix)
        print(f"  {matrix}")
    return wanted


def check_values(cfg: DictConfig) -> None:
    """Refuse numbers out of range.

    Raises:
        UserError: naming the key.
    """
    check_positive("style_size", cfg.style_size)
    if cfg.size is not None:
        check_positive("size", cfg.size)
    check_number("strength", cfg.strength)
    if not 0 <= cfg.strength <= 1:
        raise UserError(f"strength={cfg.strength} must be between 0 and 1")
    if cfg.style_weights is not None:
        if not isinstance(cfg.style_weights, ListConfig):
            raise UserError(f"style_weights={show(cfg.style_weights)} must be a list: [2,1]")
        for weight in cfg.style_weights:
            check_number("style_weights", weight, 0)


def describe(stylizer: Stylizer, styles: Sequence[Picture], cfg: DictConfig) -> list[Tensor | None]:
    """The styles asked for, each (1, S); None for the only one that the stylizer knows."""
    if not stylizer.takes_style:
        return [None]
    pictures = (read("style", style.path, cfg.style_size, style.limits) for style in styles)
    codes = [stylizer.describe(picture.to(stylizer.device)) for picture in pictures]
    return [*codes] if cfg.style_weights is None else [mix(torch.cat(codes), cfg.style_weights)]


def write(
    stylizer: Stylizer,
    content: Picture,
    code: Tensor | None,
    target: Path,
    cfg: DictConfig,
    progress: "tqdm[Any]",
) -> Image.Image:
    """Make a picture, or all frames of one that moves; returns the first."""
    made: list[Image.Image] = []
    durations: list[int] = []
    for frame, shown in read_frames("content", content.path, cfg.size, content.limits):
        frame = frame.to(stylizer.device)
        picture = stylizer.render(frame, code, cfg.strength)
        if cfg.preserve_color:
            picture = with_colors(picture, frame)
        made.append(to_picture(to_uint8(picture)[0].cpu()))
        durations.append(shown)
        progress.update()
    if content.frames > 1:
        save_animation(made, target, durations)
    else:
        save_picture(made[0], target)
    return made[0]


def mix(codes: Tensor, weights: Sequence[float]) -> Tensor:
    """One style (1, S) from several (N, S).

    Raises:
        UserError: if there is not one weight for each, or their sum is 0.
    """
    shares = torch.tensor([float(w) for w in weights], device=codes.device)
    if len(shares) != len(codes) or not bool((shares >= 0).all()) or not float(shares.sum()) > 0:
        raise UserError(
            f"style_weights={list(weights)} must be {len(codes)} numbers, one for each style, not "
            "below 0 and not all 0"
        )
    return (shares / shares.sum())[None] @ codes


def with_colors(picture: Tensor, content: Tensor) -> Tensor:
    """The brightness of one picture with the colors of another, both (1, 3, H, W) in [-1, 1].

    Gatys et al. 2017, https://arxiv.org/abs/1611.07865, sec. 5.2: luminance-only transfer, by YIQ.
    """
    matrix = _TO_YIQ.to(picture.device)
    brightness, colors = (torch.einsum("ij,njhw->nihw", matrix, x) for x in (picture, content))
    joined = torch.cat([brightness[:, :1], colors[:, 1:]], 1)
    return torch.einsum("ij,njhw->nihw", matrix.inverse(), joined).clamp(-1, 1)


def cell(picture: Image.Image) -> Tensor:
    """The middle square of a picture, uint8 (3, 160, 160)."""
    square = ImageOps.fit(picture, (_CELL, _CELL), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)


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
