"""Runs to export, and exporting them in this process."""

import json
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir

from tests.conftest import FAMILIES, TINY, TINY_STYLE, Trompe
from trompe.command import config_dir
from trompe.exports.exportable import Exportable, Sizes, make_exportable
from trompe.exports.source import source_of
from trompe.runs.run_folder import RunFolder
from trompe.tasks.export import export

GAN = [*TINY, *FAMILIES["dcgan"], "kimg=0.048"]
NARROW = ["data.resolution=32", "model.generator.width=4", "model.generator.blocks=1"]
# A network that describes styles and takes no time to trace.
QUICK = [
    "perceptual@model.perceptual=random_conv",
    "model.perceptual.style_layers=[conv1,conv2]",
    "model.perceptual.content_layers=[conv2]",
    "model.perceptual.width=4",
]
PALETTE = [TINY_STYLE[0], "style_generator@model.generator=palette", *TINY_STYLE[1:]]
UNPAIRED = ["data=unpaired", "data.a=x", "data.b=x", "data.resolution=16"]
MODELS = {
    "palette": [*PALETTE, "model.generator.wide=8"],
    "quick": [PALETTE[0], QUICK[0], *PALETTE[1:], *QUICK[1:], "model.generator.wide=8"],
    "transformer": TINY_STYLE,
    "adain": ["model=adain", *NARROW],
    "johnson": ["model=johnson", *NARROW],
    "ast": ["model=ast", "model.discriminator.width=4", *NARROW],
    "cyclegan": ["model=cyclegan", *UNPAIRED, *NARROW[1:], "model.discriminator.width=4"],
}


def train_gan(folder: Path, cache: Path) -> RunFolder:
    """A GAN that was trained for a moment."""
    trompe = Trompe(folder, cache)
    trompe("train", *GAN)
    return trompe.runs()[0]


def configured(run: RunFolder, *overrides: str) -> Any:
    with initialize_config_dir(config_dir(), version_base="1.3"):
        return compose("export", [f"run={run.path}", *overrides])


def exported(run: RunFolder, *overrides: str) -> Path:
    return export(configured(run, *overrides))


def module_of(run: RunFolder, sizes: Sizes = Sizes(), **options: Any) -> Exportable:  # noqa: B008
    return make_exportable(source_of(configured(run)).method, options, sizes, run.path)


def found(out: Path) -> dict[str, Any]:
    return json.loads((out / "parity.json").read_text())
