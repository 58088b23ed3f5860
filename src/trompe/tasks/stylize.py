"""The stylize task: pictures with the content of some files and the style of others."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, ListConfig, OmegaConf
from PIL import Image
from torch import Tensor

from trompe.bars import Bar
from trompe.data.limits import Limits
from trompe.errors import UserError, check_count, check_number, check_positive, show
from trompe.images import save_animation, save_picture, to_picture, to_uint8
from trompe.networks.strokes import shrunk
from trompe.parts import make
from trompe.paths import expand
from trompe.stylizers.colors import CHOICES, with_colors, with_palette
from trompe.stylizers.flicker import Flicker
from trompe.stylizers.matrix import cell, write_matrix
from trompe.stylizers.mixing import check_weights, mix
from trompe.stylizers.picture_files import (
    Picture,
    check_inputs,
    find_pictures,
    name_targets,
    read,
    read_frames,
)
from trompe.stylizers.stylizer import Stylizer, check_strength, check_style
from trompe.stylizers.told import as_options, digest, is_made

_PALETTE_AT = 256  # pixels of the shorter side at which a content's palette is measured
_HELD_FRAMES = 8  # frames, evenly over an animation, on which what all share is measured
# What a picture depends on, beside the files and the stylizer.
_SETTINGS = ("strength", "color", "size", "style_size", "style_weights", "direction", "strokes_at")

# Keys that a stylizer's config refers to if it takes them, and what they are unless they are set.
_OF_SOME = dict.fromkeys(("run", "direction", "strokes_at", "tile", "memory_gib"))
_OF_SOME |= {"checkpoint": "last"}


@dataclass
class Job:
    """What one call of `stylize` does.

    Args:
        cfg: its config.
        stylizer: makes the pictures.
        styles: pictures (1, 3, H, W) in [-1, 1]; none if the stylizer knows only one.
        settings: what pictures of all styles have in common.
        progress: counts pictures and frames.
        codes: the styles as the stylizer describes them, by their columns.
    """

    cfg: DictConfig
    stylizer: Stylizer
    styles: list[Tensor]
    settings: dict[str, Any]
    progress: Bar
    codes: dict[int, Tensor] = field(default_factory=dict)


def stylize(cfg: DictConfig) -> list[Path]:
    """Write what `stylize.yaml` asks for; returns the files.

    `<out>/<content>.png` for one style or a mix of them, `<out>/<style>/<content>.png` for several,
    and `matrix.png`; `.gif` instead for contents that move.

    Raises:
        UserError: if a run, picture or value is wrong, or files exist and `overwrite` and
            `only_missing` are false.
        KeyboardInterrupt: on Ctrl-C, after saying how to go on.
    """
    check_values(cfg)
    stylizer: Stylizer = make(cfg.stylizer, "stylizer")
    check_style(stylizer, cfg.style)
    limits = Limits(cfg.max_pixels, "max_pixels")
    find = partial(find_pictures, limits=limits, on_corrupt=cfg.on_corrupt)
    contents = find("content", cfg.content, cfg.size)
    styles = [] if cfg.style is None else find("style", cfg.style, cfg.style_size)
    out = expand(cfg.out, "out")
    targets = name_targets(out, contents, styles, cfg.style_weights is not None)
    matrix = out / "matrix.png"
    wanted = [*(path for row in targets for path in row), *([matrix] if cfg.matrix else [])]
    if cfg.matrix and matrix in wanted[:-1]:
        raise UserError(f"matrix=true and a picture would both be written to {matrix}: rename it")
    check_inputs(wanted, (picture.path for picture in (*contents, *styles)))
    there = [path for path in wanted if path.exists()]
    if there and not (cfg.overwrite or cfg.only_missing):
        raise UserError(
            f"{there[0]} already exists: set overwrite=true or another out=, or only_missing=true"
        )
    job = Job(
        cfg,
        stylizer,
        [read("style", s.path, cfg.style_size, s.limits).to(stylizer.device) for s in styles],
        {
            "stylizer": f"{stylizer.name}, {stylizer.fingerprint}",
            "frames": digest(*(content.path for content in contents)) if cfg.frames else None,
            **{k: plain(cfg[k]) for k in _SETTINGS},
        },
        Bar(unit="picture"),
    )
    check_weights(cfg.style_weights, len(styles))
    names = [digest(style.path) for style in styles]
    kept, cells = make_all(job, contents, names, targets)
    made = sum(map(len, cells)) - kept
    what = "picture" if made == 1 else "pictures"
    there_too = f", {kept} were there" if kept else ""
    print(f"{made} {what} by {stylizer.name} in {out}{there_too}")
    if cfg.matrix:
        write_matrix(contents, styles if cfg.style_weights is None else [], cells, matrix)
        print(f"  {matrix}")
    return wanted


def make_all(
    job: Job, contents: Sequence[Picture], styles: list[str], targets: list[list[Path]]
) -> tuple[int, list[list[Tensor]]]:
    """Make what is not there yet; how many were there, and a small picture of each."""
    columns: list[Any] = [styles] if job.cfg.style_weights is not None else styles or [None]
    given = [{**job.settings, "content": digest(content.path)} for content in contents]
    rows = [[{**settings, "style": style} for style in columns] for settings in given]
    kept = {
        target
        for row, settings in zip(targets, rows, strict=True)
        for target, told in zip(row, settings, strict=True)
        if job.cfg.only_missing and is_made(target, told, job.cfg.overwrite)
    }
    frames = sum(
        c.frames * sum(t not in kept for t in row) for c, row in zip(contents, targets, strict=True)
    )
    job.progress.reset(total=frames)
    films: list[Film] = []
    cells: list[list[Tensor]] = []
    try:
        if job.cfg.frames and frames:
            films = films_of(job, contents)
        for content, row, told in zip(contents, targets, rows, strict=True):
            cells.append([])
            for column, (target, settings) in enumerate(zip(row, told, strict=True)):
                if target in kept:
                    if films:
                        films[column].flicker.skip()
                    with Image.open(target) as picture:
                        cells[-1].append(cell(picture))
                    continue
                film = films[column] if films else Film.of(job, content, column)
                cells[-1].append(cell(film.write(job, content, target, settings)))
    except KeyboardInterrupt:
        job.progress.close()
        count = sum(map(len, targets))
        print(
            f"interrupted: {sum(map(len, cells))} of {count} are there; the others are made with "
            "only_missing=true"
        )
        raise
    job.progress.close()
    for film in films:
        film.tell(job)
    return len(kept), cells


class Film:
    """One style, and what all frames of an animation share in it.

    Args:
        code: the style (1, S), or None.
        held: see `Stylizer`.
        spans_files: whether the files are its frames, rather than each a film.
    """

    def __init__(self, code: Tensor | None, held: Any, spans_files: bool) -> None:
        self.code = code
        self.held = held
        self.flicker = Flicker()
        self.spans_files = spans_files

    @classmethod
    def of(cls, job: Job, content: Picture, column: int) -> "Film":
        """Of one content and the style of a column."""
        code = describe(job, column, content)
        if content.frames == 1:
            return cls(code, None, spans_files=False)
        frames = _some(_frames(job, [content]), content.frames)
        return cls(code, job.stylizer.hold(frames, code, job.cfg.strength), spans_files=False)

    def write(
        self, job: Job, content: Picture, target: Path, settings: dict[str, Any]
    ) -> Image.Image:
        """Make a picture, or all frames of one that moves; returns the first."""
        cfg, made, durations = job.cfg, list[Image.Image](), list[int]()
        moves = content.frames > 1 or self.spans_files
        for frame, shown in read_frames("content", content.path, cfg.size, content.limits):
            frame = frame.to(job.stylizer.device)
            picture = job.stylizer.render(frame, self.code, cfg.strength, self.held)
            if cfg.color == "keep":
                picture = with_colors(picture, frame)
            if moves:
                self.flicker.add(frame, picture)
            made.append(to_picture(to_uint8(picture)[0].cpu()))
            durations.append(shown)
            job.progress.update()
        options = as_options(settings, target.suffix)
        if content.frames > 1:
            save_animation(made, target, durations, **options)
            if not self.spans_files:
                self.tell(job, f"{target}: ")
        else:
            save_picture(made[0], target, **options)
        return made[0]

    def tell(self, job: Job, name: str = "") -> None:
        """Say how restless the frames are."""
        means = self.flicker.means()
        if means is not None:
            job.progress.write(
                f"{name}where the content stands still it changes by {means[0]:.2g} gray levels "
                f"from frame to frame, the stylized one by {means[1]:.2g}"
            )


def films_of(job: Job, contents: Sequence[Picture]) -> list[Film]:
    """A film for each style, whose frames are all these files."""
    films = []
    for column in range(1 if job.cfg.style_weights is not None else max(1, len(job.styles))):
        code = describe(job, column, contents[0])
        frames = _some(_frames(job, contents), sum(content.frames for content in contents))
        held = job.stylizer.hold(frames, code, job.cfg.strength)
        films.append(Film(code, held, spans_files=True))
    return films


def describe(job: Job, column: int, content: Picture) -> Tensor | None:
    """The style of a column (1, S), or the mix of all; None for the only one that there is."""
    if not job.styles:
        return None
    matches = job.cfg.color == "match"
    if column in job.codes and not matches:
        return job.codes[column]
    mixed = job.cfg.style_weights is not None
    pictures = job.styles if mixed else [job.styles[column]]
    if matches:
        first = read("content", content.path, job.cfg.size, content.limits)
        small = shrunk(first, _PALETTE_AT).to(job.stylizer.device)
        pictures = [with_palette(style, small) for style in pictures]
    codes = [job.stylizer.describe(picture) for picture in pictures]
    job.codes[column] = mix(torch.cat(codes), job.cfg.style_weights) if mixed else codes[0]
    return job.codes[column]


def _frames(job: Job, contents: Sequence[Picture]) -> Iterator[Tensor]:
    for content in contents:
        for frame, _ in read_frames("content", content.path, job.cfg.size, content.limits):
            yield frame.to(job.stylizer.device)


def _some(frames: Iterator[Tensor], count: int) -> Iterator[Tensor]:
    return itertools.islice(frames, 0, None, -(-count // _HELD_FRAMES))


def check_values(cfg: DictConfig) -> None:
    """Refuse numbers out of range, and what the stylizer does not take.

    Raises:
        UserError: naming the key.
    """
    check_positive("style_size", cfg.style_size)
    if cfg.size is not None:
        check_positive("size", cfg.size)
    if cfg.strokes_at is not None:
        check_count("strokes_at", cfg.strokes_at, 0)
    check_strength(cfg.strength)
    referred = str(OmegaConf.to_container(cfg.stylizer, resolve=False))
    for key, value in _OF_SOME.items():
        if cfg[key] != value and f"${{{key}}}" not in referred:
            kind = str(cfg.stylizer.get("_target_")).rpartition(".")[2]
            raise UserError(f"{key}={cfg[key]} means nothing to the stylizer {kind}: leave it out")
    if cfg.on_corrupt not in ("error", "skip"):
        raise UserError(f"on_corrupt={show(cfg.on_corrupt)} must be error or skip")
    if cfg.color not in CHOICES:
        raise UserError(f"color={show(cfg.color)} must be one of {', '.join(CHOICES)}")
    if cfg.style_weights is not None:
        if not isinstance(cfg.style_weights, ListConfig):
            raise UserError(f"style_weights={show(cfg.style_weights)} must be a list: [2,1]")
        for weight in cfg.style_weights:
            check_number("style_weights", weight, 0)


def plain(value: Any) -> Any:
    """A config's value as JSON has it."""
    return OmegaConf.to_container(value) if isinstance(value, ListConfig) else value
