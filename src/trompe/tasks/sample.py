"""The sample task: images, a grid and a latent interpolation from a trained run."""

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from trompe.engine.randomness import keyed_generator
from trompe.errors import UserError, check_count, check_number, check_positive
from trompe.files import whole_folder
from trompe.images import save_grid, save_picture, to_picture, to_uint8
from trompe.methods.capabilities import FromLatents, LabeledLatents, Latents, by_class, on, take
from trompe.methods.labels import MOST, as_folders, choose_labels, class_names
from trompe.methods.trained import find_checkpoint, load_method
from trompe.methods.usage import check_options, require
from trompe.paths import expand
from trompe.runs.naming import find_run
from trompe.tasks.sample_walks import (
    check_mixing,
    draw,
    neighbors,
    write_interpolation,
    write_mixing,
)

# The files that `sample` writes into its folder.
_SAMPLES = re.compile(
    r"images/([^/]+/)?\d{4,}\.png|(grid|interpolation|neighbors|mix_\w+)\.png|interpolation\.gif"
)


def sample(cfg: DictConfig) -> Path:
    """Write what `sample.yaml` asks for; returns the folder.

    `images/<seed>.png` per seed, `grid.png`, and `interpolation.png` and `.gif` through the first
    `interpolation.keyframes` of the seeds. A seed gives the same latent in every run. Of a
    conditional run `images/<class>/<seed>.png`, a row of the grid for each class, and an
    interpolation of the first. `neighbors.png` is of what lies around a seed, `mix_*.png` of mixed
    styles.

    Raises:
        UserError: if the run or checkpoint is missing, the seeds or classes cannot be read, or the
            folder that is given already exists and `overwrite` is false.
    """
    run = find_run(cfg.run, cfg.paths.output_dir)
    _check_values(cfg)
    checkpoint, which = find_checkpoint(run, cfg.checkpoint)
    method = load_method(run, checkpoint, cfg.trust)
    require(method, "sample", run.path)
    assert isinstance(method, FromLatents)
    options = check_options({"truncation": cfg.truncation}, method, run.path)
    if "truncation" in options:
        check_number("truncation", options["truncation"])
    mixed = [] if cfg.mix is None else parse_seeds(cfg.mix, 0, "mix")
    if cfg.mix is not None:
        check_mixing(method, mixed, run.path)
    names = class_names(method, run.read_facts())
    labels = choose_labels(cfg.label, names, run.path)
    rows = max(1, len(labels))
    seeds = parse_seeds(cfg.seeds, -(-cfg.n // rows))
    kimg = checkpoint["clock"]["images"] / 1000
    usual = run.path / "generated" / f"{which}_{kimg:g}"
    out = expand(cfg.out, "out") if cfg.out else usual if cfg.overwrite else unused(usual)
    out = out.absolute()
    check_target(out, cfg.overwrite)
    latents = latents_of(method, seeds)
    images = generate(method, inputs_of(latents, labels), cfg.batch_size, **options)

    with whole_folder(out, replace=True) as work:
        folders = [work / "images" / name for name in as_folders(names, labels) or [""]]
        files = [folder / f"{seed:04d}.png" for folder in folders for seed in seeds]
        for file, image in zip(files, images, strict=True):
            save_picture(to_picture(image), file)
        save_grid(images, work / "grid.png", len(seeds) if rows > 1 else None)
        _write_walks(method, cfg, work, latents, mixed, labels[:1], options)
        made = sorted(path.name for path in work.iterdir())
    print(f"{len(images)} images of {run.path.name} at {kimg:g} kimg ({which}):")
    for name in made:
        print(f"  {out / name}")
    _tell_classes(names, labels, cfg.label is not None)
    return out


def _write_walks(
    method: FromLatents,
    cfg: DictConfig,
    folder: Path,
    latents: Tensor,
    mixed: Sequence[int],
    label: Sequence[int],
    options: Mapping[str, Any],
) -> None:
    """The interpolation, a seed's neighbors and mixed styles: what is asked for."""
    if len(latents) > 1 and cfg.interpolation.keyframes > 1:
        keyframes = codes_of(method, latents[: cfg.interpolation.keyframes], label, options)
        write_interpolation(method, keyframes, cfg, folder, label)
    if cfg.neighbors is not None:
        around = neighbors(latent(cfg.neighbors, method.latent_shape), cfg.neighbor_step)
        codes = codes_of(method, around, label, options)
        save_grid(draw(method, codes, label, cfg.batch_size), folder / "neighbors.png", 5)
    if mixed:
        styles = codes_of(method, latents_of(method, mixed), label, options)
        write_mixing(method, styles, folder, label, cfg.batch_size)


def _tell_classes(names: Sequence[str], labels: Sequence[int], chosen: bool) -> None:
    if labels:
        what = "class" if len(labels) == 1 else "classes, a row of the grid each"
        print(f"  {what}: {', '.join(names[label] for label in labels)}")
    if not chosen and len(names) > MOST:
        print(f"  the first {MOST} of {len(names)} classes: label= chooses others")


def _check_values(cfg: DictConfig) -> None:
    check_count("n", cfg.n, 0)
    check_count("batch_size", cfg.batch_size)
    check_count("interpolation.keyframes", cfg.interpolation.keyframes, 0)
    check_count("interpolation.frames", cfg.interpolation.frames)
    check_positive("interpolation.fps", cfg.interpolation.fps)
    check_count("neighbors", 0 if cfg.neighbors is None else cfg.neighbors, 0)
    check_positive("neighbor_step", cfg.neighbor_step)


def unused(folder: Path) -> Path:
    """The folder, or the first of `<folder>_2`, `<folder>_3`, ... that does not exist."""
    names = (folder.with_name(f"{folder.name}_{number}") for number in itertools.count(2))
    return next(path for path in itertools.chain([folder], names) if not path.exists())


def check_target(out: Path, overwrite: bool, made: re.Pattern[str] = _SAMPLES) -> None:
    """Refuse a folder where anything but what was made earlier would be lost.

    Args:
        out: the folder.
        overwrite: whether what was made earlier may be replaced.
        made: paths in the folder, relative to it, that are such.

    Raises:
        UserError: if it is a file, or holds such files and `overwrite` is false, or others.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"out={out} is not a folder")
    files = [path.relative_to(out) for path in out.rglob("*") if not path.is_dir()]
    others = [path for path in files if not made.fullmatch(path.as_posix())]
    if others:
        raise UserError(f"{out} holds other files too, such as {others[0]}: choose another out=")
    if files and not overwrite:
        raise UserError(f"{out} already exists: set overwrite=true or another out=")


def parse_seeds(
    seeds: str | int | Sequence[str | int] | None, n: int, key: str = "seeds"
) -> list[int]:
    """Seeds as written in a config, `0-3` or `[0-3, 7]`, as numbers; None is the first `n`.

    Raises:
        UserError: if it is not made of numbers and ranges, or empty.
    """
    if seeds is None:
        parts = [f"0-{n - 1}"] if n > 0 else []
    elif isinstance(seeds, str):
        parts = seeds.replace(" ", "").split(",")
    else:
        parts = [str(seed) for seed in (seeds if not isinstance(seeds, int) else [seeds])]
    found: list[int] = []
    for part in parts:
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if not match:
            raise UserError(f"{key}={seeds} cannot be read at {part!r}: write 0-63 or [1,5,9]")
        first, last = int(match[1]), int(match[2] or match[1])
        found.extend(range(first, last + 1))
    if not found:
        raise UserError(f"no images are requested (n={n}, {key}={seeds})")
    return list(dict.fromkeys(found))


def latent(seed: int, shape: Sequence[int]) -> Tensor:
    """The latent of that shape that belongs to a sample's seed."""
    return torch.randn(shape, generator=keyed_generator(seed, "sample"))


def latents_of(method: FromLatents, seeds: Sequence[int]) -> Tensor:
    """The latents (N, ...) of seeds."""
    return torch.stack([latent(seed, method.latent_shape) for seed in seeds])


def codes_of(
    method: FromLatents, latents: Tensor, label: Sequence[int], options: Mapping[str, Any]
) -> Tensor:
    """What images are made from, of latents (N, ...); `label` holds their class, if there are."""
    return method.codes(on(method.device, inputs_of(latents, label)), **options)


def inputs_of(latents: Tensor, labels: Sequence[int]) -> Latents | LabeledLatents:
    """What images are made from: all latents (N, ...) for each of the labels, if there are any."""
    return by_class(latents, labels) if labels else Latents(latents)


def generate(
    method: FromLatents, inputs: Latents | LabeledLatents, batch_size: int, **options: Any
) -> Tensor:
    """uint8 images (N, C, H, W) on the CPU."""
    parts = torch.arange(len(inputs.latents)).split(batch_size)
    batches = (on(method.device, take(inputs, rows)) for rows in parts)
    return torch.cat([to_uint8(method.sample(batch, **options)).cpu() for batch in batches])
