"""Pictures of what lies between and around latents, and of mixed styles."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from omegaconf import DictConfig
from PIL import Image
from torch import Tensor

from trompe.engine.randomness import keyed_generator
from trompe.errors import UserError
from trompe.images import make_grid, save_animation, save_grid, to_picture, to_uint8
from trompe.methods.capabilities import FromLatents

# Where the layers of styles are cut: 4 to 8 pixels, 16 to 32, finer (StyleGAN, Figure 3).
_LEVELS = {"coarse": slice(0, 4), "middle": slice(4, 8), "fine": slice(8, None)}
_STRIP = 8  # images from a keyframe to the next
_AROUND = 2  # steps from a latent to the border of the picture of its neighbors


def draw(method: FromLatents, codes: Tensor, label: Sequence[int], batch_size: int) -> Tensor:
    """uint8 images (N, C, H, W) on the CPU of codes; `label` holds their class, if there are."""
    made = []
    for some in codes.split(batch_size):
        labels = some.new_full((len(some),), label[0], dtype=torch.int64) if label else None
        made.append(to_uint8(method.from_codes(some, labels)).cpu())
    return torch.cat(made)


def ease(part: float) -> float:
    """From 0 to 1, slowly at both ends: half a cosine."""
    return 0.5 - 0.5 * math.cos(math.pi * part)


def write_interpolation(
    method: FromLatents, keyframes: Tensor, cfg: DictConfig, folder: Path, label: Sequence[int]
) -> None:
    """A strip from keyframe to keyframe, and an animation that passes through all and returns.

    Args:
        method: draws the images.
        keyframes: codes (N, ...).
        cfg: of `sample.yaml`.
        folder: for `interpolation.png` and `interpolation.gif`.
        label: the one class of their images, if there are classes.
    """
    frames, pace = cfg.interpolation.frames, ease if cfg.interpolation.ease else float
    pairs = list(itertools.pairwise(keyframes))
    parts = [i / (_STRIP - 1) for i in range(_STRIP)]
    rows = torch.stack([method.between(a, b, part) for a, b in pairs for part in parts])
    images = draw(method, rows, label, cfg.batch_size)
    save_grid(images, folder / "interpolation.png", columns=_STRIP)
    loop = [*pairs, (keyframes[-1], keyframes[0])]
    steps = [pace(i / frames) for i in range(frames)]
    path = torch.stack([method.between(a, b, step) for a, b in loop for step in steps])
    images = draw(method, path, label, cfg.batch_size)
    scale = max(1, 192 // images.shape[-1])
    pictures = [to_picture(make_grid(image[None])) for image in images]
    size = (pictures[0].width * scale, pictures[0].height * scale)
    enlarged = [p.resize(size, Image.Resampling.BICUBIC).convert("RGB") for p in pictures]
    save_animation(enlarged, folder / "interpolation.gif", round(1000 / cfg.interpolation.fps))


def neighbors(latent: Tensor, step: float) -> Tensor:
    """Latents (25, *shape) around one, in rows of five: it is in the middle of the plane.

    Each step goes along one of two fixed random directions, `step` times a latent's length; the
    length is kept.
    """
    shape = (2, latent.numel())
    first, second = torch.randn(shape, generator=keyed_generator(0, "neighbors")).to(latent.device)
    length = latent.norm()
    across, down = (length * d / d.norm() for d in (first, second))
    steps = range(-_AROUND, _AROUND + 1)
    around = torch.stack(
        [latent.flatten() + step * (x * across + y * down) for y in steps for x in steps]
    )
    kept: Tensor = around * (length / around.norm(dim=1, keepdim=True))
    return kept.view(-1, *latent.shape)


def check_mixing(method: FromLatents, seeds: Sequence[int], where: object) -> None:
    """Refuse to mix what has no styles.

    Raises:
        UserError: saying so, or that there are too few seeds.
    """
    if not method.layers_of_styles:
        raise UserError(
            f"mix={list(seeds)}: the model of {where} has no styles to mix: train one that has, "
            "such as model=stylegan2"
        )
    if len(seeds) < 2:
        raise UserError(f"mix={list(seeds)} must name at least two seeds, such as mix=[1,2]")


def write_mixing(
    method: FromLatents, styles: Tensor, folder: Path, label: Sequence[int], batch_size: int
) -> None:
    """A matrix for each level of styles: that level of the column's image, the rest of the row's.

    As StyleGAN, Figure 3. The first row and column are the images themselves.

    Args:
        method: draws the images.
        styles: (N, layers, D).
        folder: for `mix_coarse.png`, `mix_middle.png` and `mix_fine.png`.
        label: the one class of their images, if there are classes.
        batch_size: images at once.
    """
    images = draw(method, styles, label, batch_size)
    empty = torch.full_like(images[:1], 255)
    for name, level in _LEVELS.items():
        if not styles[:, level].numel():
            continue
        mixed = styles[:, None].repeat(1, len(styles), 1, 1)
        mixed[:, :, level] = styles[None, :, level]
        matrix = draw(method, mixed.flatten(0, 1), label, batch_size).unflatten(
            0, (len(styles), len(styles))
        )
        rows = [torch.cat([image[None], row]) for image, row in zip(images, matrix, strict=True)]
        table = torch.cat([empty, images, *rows])
        save_grid(table, folder / f"mix_{name}.png", columns=len(styles) + 1)
