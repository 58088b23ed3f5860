"""The stylize task: pictures with the content of some files and the style of others."""

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.nn.functional import pad
from tqdm import tqdm

from trompe.data.folder import is_picture
from trompe.data.picture import convert, to_picture
from trompe.errors import UserError, check_positive
from trompe.images import save_grid, save_picture, to_signed, to_uint8
from trompe.images import to_picture as picture_of
from trompe.networks.perceptual import MINIMUM_SIDE
from trompe.runs.folder import open_run
from trompe.sampling import find_checkpoint, load_method

# The generator halves the resolution twice; the perceptual network wants so many pixels.
_MULTIPLE = 4
# ITU-R BT.601: RGB to brightness and two differences of colour.
_TO_YIQ = torch.tensor(
    [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]]
)
_TILE = 160  # pixels of a picture in the matrix


def stylize(cfg: DictConfig) -> list[Path]:
    """Write what `stylize.yaml` asks for; returns the files.

    `<out>/<content>.png` for one style or a mix of them, `<out>/<style>/<content>.png` for several,
    and `matrix.png`.

    Raises:
        UserError: if a run, picture or value is wrong, or files are there and `overwrite` is false.
    """
    check_values(cfg)
    run = open_run(cfg.run)
    checkpoint, which = find_checkpoint(run, cfg.checkpoint)
    contents, styles = (find_pictures(key, cfg[key]) for key in ("content", "style"))
    out = Path(cfg.out).expanduser()
    targets = name_targets(out, contents, styles, cfg.style_weights)
    matrix = out / "matrix.png"
    wanted = [*(path for row in targets for path in row), *([matrix] if cfg.matrix else [])]
    there = [path for path in wanted if path.exists()]
    if there and not cfg.overwrite:
        raise UserError(f"{there[0]} is there already: set overwrite=true or another out=")
    method: Any = load_method(run, checkpoint)
    if not hasattr(method, "stylise"):
        raise UserError(f"{run.path} was not trained on styles: its model is no style transfer")

    pictures = (read("style", path, cfg.style_size, method) for path in styles)
    codes = torch.cat([method.describe(picture)[1] for picture in pictures])
    if cfg.style_weights is not None:
        codes = mix(codes, cfg.style_weights)
    made: list[list[Tensor]] = []
    progress = tqdm(total=len(contents) * len(codes), unit="picture", disable=None, leave=False)
    for path, row in zip(contents, targets, strict=True):
        content = read("content", path, cfg.size, method)
        made.append([])
        for code, target in zip(codes, row, strict=True):
            picture = render(method, content, code[None], cfg.strength)
            if cfg.preserve_color:
                picture = with_colours(picture, content)
            image = to_uint8(picture)[0].cpu()
            save_picture(picture_of(image), target)
            made[-1].append(thumbnail(image))
            progress.update()
    progress.close()
    print(f"{sum(map(len, made))} pictures by {run.path.name} ({which}) in {out}")
    if cfg.matrix:
        shown = styles if cfg.style_weights is None else []
        write_matrix(contents, shown, made, matrix, method)
        print(f"  {matrix}")
    return wanted


def check_values(cfg: DictConfig) -> None:
    """Refuse numbers without meaning.

    Raises:
        UserError: naming the key.
    """
    check_positive("style_size", cfg.style_size)
    if cfg.size is not None:
        check_positive("size", cfg.size)
    if not isinstance(cfg.strength, int | float) or not 0 <= cfg.strength <= 1:
        raise UserError(f"strength={cfg.strength} must be between 0 and 1")


def find_pictures(key: str, spec: str | Sequence[str]) -> list[Path]:
    """The files that a path, a folder, a pattern or a list of such stands for, sorted by name.

    Raises:
        UserError: if one of them stands for nothing.
    """
    found: list[Path] = []
    for one in [spec] if isinstance(spec, str) else spec:
        path = Path(one).expanduser()
        if path.is_dir():
            files = sorted(f for f in path.rglob("*") if is_picture(str(f.relative_to(path))))
            if not files:
                raise UserError(f"{key}={one} is a folder without pictures")
        else:
            files = [path] if path.is_file() else sorted(map(Path, glob.glob(str(path))))
            if not files:
                raise UserError(f"{key}={one}: there is no such picture or folder")
        found += files
    return found


def name_targets(
    out: Path, contents: Sequence[Path], styles: Sequence[Path], weights: Any
) -> list[list[Path]]:
    """A row for each content, with the file for each style, or for their mix.

    Raises:
        UserError: if two of them would be the same file.
    """
    folders = [out] if weights is not None or len(styles) == 1 else [out / s.stem for s in styles]
    rows = [[folder / f"{content.stem}.png" for folder in folders] for content in contents]
    flat = [path for row in rows for path in row]
    double = next((path for path in flat if flat.count(path) > 1), None)
    if double is not None:
        raise UserError(f"two pictures would both be {double}: give them different names")
    return rows


def read(key: str, path: Path, size: float | None, method: Any) -> Tensor:
    """A picture as (1, 3, H, W) in [-1, 1] on the method's device, its shorter side `size` pixels.

    Upright by EXIF, transparent pixels white, 16-bit and CMYK converted.

    Raises:
        UserError: if it cannot be read or is too small.
    """
    try:
        with Image.open(path) as image:
            picture = convert(to_picture(image), "RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise UserError(f"{key}={path} cannot be read: {error}") from error
    if size is not None:
        scale = size / min(picture.size)
        sides = (max(1, round(side * scale)) for side in picture.size)
        picture = picture.resize(tuple(sides), Image.Resampling.LANCZOS)  # type: ignore[arg-type]
    if min(picture.size) < MINIMUM_SIDE:
        raise UserError(
            f"{key}={path} has {picture.width} x {picture.height} pixels: at least {MINIMUM_SIDE} "
            "on each side are needed; a larger size= enlarges it"
        )
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
    return to_signed(pixels.to(method.device))


def mix(codes: Tensor, weights: Sequence[float]) -> Tensor:
    """One style (1, S) from several (N, S).

    Raises:
        UserError: if there is not one weight for each, or they do not add up to something.
    """
    shares = torch.tensor([float(w) for w in weights], device=codes.device)
    if len(shares) != len(codes) or not bool((shares >= 0).all()) or not float(shares.sum()) > 0:
        raise UserError(
            f"style_weights={list(weights)} must be {len(codes)} numbers, one for each style, not "
            "below 0 and not all 0"
        )
    return (shares / shares.sum())[None] @ codes


@torch.no_grad()
def render(method: Any, content: Tensor, code: Tensor, strength: float = 1) -> Tensor:
    """The picture (1, 3, H, W) in [-1, 1] of content (1, 3, H, W) in a style (1, S).

    Below full strength the style's parameters are mixed with those of the content's own, and what
    the generator fails to reproduce of the content is given back in the same measure: so 0 is the
    content itself, and what lies between is continuous.
    """
    height, width = content.shape[2:]
    # The edge is repeated up to a whole number of the generator's coarsest pixels.
    padding = (0, -width % _MULTIPLE, 0, -height % _MULTIPLE)
    padded = pad(content, padding, mode="replicate")
    generator = method.generator_ema
    parameters = method.predict(generator, code)
    if strength == 1:
        return method.stylise(padded, parameters)[..., :height, :width]
    own = method.predict(generator, method.describe(content)[1])
    missing = padded - method.stylise(padded, own)
    picture = method.stylise(padded, torch.lerp(own, parameters, strength))
    return (picture + (1 - strength) * missing)[..., :height, :width].clamp(-1, 1)


def with_colours(picture: Tensor, content: Tensor) -> Tensor:
    """The brightness of one picture with the colours of another, both (1, 3, H, W) in [-1, 1].

    Gatys et al. 2017, https://arxiv.org/abs/1611.07865, sec. 5.2: luminance-only transfer, by YIQ.
    """
    matrix = _TO_YIQ.to(picture.device)
    brightness, colours = (torch.einsum("ij,njhw->nihw", matrix, x) for x in (picture, content))
    joined = torch.cat([brightness[:, :1], colours[:, 1:]], 1)
    return torch.einsum("ij,njhw->nihw", matrix.inverse(), joined).clamp(-1, 1)


def thumbnail(image: Tensor) -> Tensor:
    """A picture uint8 (3, H, W) within a white square (3, 160, 160), all of it visible."""
    picture = picture_of(image)
    picture.thumbnail((_TILE, _TILE), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (_TILE, _TILE), "white")
    square.paste(picture, ((_TILE - picture.width) // 2, (_TILE - picture.height) // 2))
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)


def write_matrix(
    contents: Sequence[Path],
    styles: Sequence[Path],
    made: list[list[Tensor]],
    path: Path,
    method: Any,
) -> None:
    """Contents down, styles across; no styles are shown of a mix."""

    def small(key: str, file: Path) -> Tensor:
        return thumbnail(to_uint8(read(key, file, _TILE, method))[0].cpu())

    corner = torch.full((3, _TILE, _TILE), 255, dtype=torch.uint8)
    rows = [corner, *(small("style", style) for style in styles)] if styles else []
    for content, row in zip(contents, made, strict=True):
        rows += [small("content", content), *row]
    save_grid(torch.stack(rows), path, len(made[0]) + 1)
