"""A folder in which the commands of the documents find what they speak of, as small as can be."""

import re
import zipfile
from functools import cached_property

import numpy as np
from PIL import Image

from tests.conftest import FAMILIES, TINY, TINY_STYLE, Trompe

# A run of one tick, whatever it trains.
BUDGET = [
    *("kimg=0.048", "tick_kimg=0.048", "batch_size=8", "data.resolution=16", "samples=null"),
    *("evaluation.every_kimg=0.048", "metrics.efflite0.n_images=16"),
    *("metrics.efflite0.n_reference=16", "logger=[]", "trainer=cpu", "trainer.precision=32-true"),
]
NARROW = ["model.generator.width=4", "model.discriminator.width=4"]
_GAN = [*(o for o in TINY if not o.startswith(("metrics", "kimg"))), *FAMILIES["mlp_gan"]]
_GAN = [
    *_GAN,
    "kimg=0.048",
    "metrics=[efflite0]",
    *BUDGET[6:8],
    "evaluation.every_kimg=0.048",
    "model.loss=hinge",
]
_STYLE = [o for o in TINY_STYLE if not o.startswith(("metrics", "kimg"))]
_STYLE = [*_STYLE, "kimg=0.048", "metrics=[]"]
_PICTURES = ["me.jpg", "painting.jpg", "a.jpg", "b.jpg"]
_FOLDERS = ["photos", "paintings", "pictures", "horses", "zebras"]
_SIDE = 48  # pixels


class World:
    """The folder, with pictures; runs are made when a command speaks of one.

    Args:
        trompe: starts commands in it.
    """

    def __init__(self, trompe: Trompe) -> None:
        self.trompe = trompe
        self.folder = trompe.folder
        trompe.env["HOME"] = str(self.folder)
        for number, name in enumerate(_PICTURES):
            _picture(number).save(self.folder / name)
        mask = Image.new("L", (_SIDE, _SIDE))
        mask.paste(255, (8, 8, 20, 20))
        mask.save(self.folder / "mask.png")
        for folder in _FOLDERS:
            (self.folder / folder).mkdir()
            for number in range(2):
                _picture(number).save(self.folder / folder / f"{number}.jpg")
        frames = [_picture(number) for number in range(2)]
        frames[0].save(self.folder / "clip.gif", save_all=True, append_images=frames[1:])
        with zipfile.ZipFile(self.folder / "cifar10.zip", "w") as archive:
            archive.write(self.folder / "me.jpg", "cat/me.jpg")
        with zipfile.ZipFile(self.folder / "images.zip", "w") as archive:
            for path in sorted((self.folder / "pictures").iterdir()):
                archive.write(path, path.name)

    @cached_property
    def gan(self) -> str:
        """A run of a GAN, in a path without the folder's own."""
        return self._train(_GAN)

    @cached_property
    def style(self) -> str:
        """A run of a style-transfer method."""
        return self._train(_STYLE)

    @cached_property
    def sweep(self) -> str:
        """A sweep of two trials."""
        choices = ["model.generator_lr=1e-4,2e-4", "sampler=grid", "objective=fd_efflite0"]
        self.trompe("sweep", *_GAN, *choices)
        (found,) = self.trompe.outputs.glob("sweeps/*/sweep.yaml")
        return str(found.parent.relative_to(self.folder))

    def filled(self, line: str) -> str:
        """A command line with all placeholders filled in.

        Raises:
            AssertionError: if there is one that nothing here knows.
        """
        is_style = re.search(r"stylize|style_pairs|artfid", line)
        for pattern, value in _FIXED:
            line = re.sub(pattern, value, line)
        if "<sweep>" in line:
            line = line.replace("outputs/sweeps/<sweep>", self.sweep)
        line = line.replace("1a2b3c", self.gan.rpartition("_")[2])
        if re.search(r"<folder>|<run>|latest|best", line):
            run = self.style if is_style else self.gan
            line = line.replace("outputs/<experiment>/<run>", run).replace("<folder>", run)
            if "trust=true" not in line:  # which means the run just made
                line = re.sub(r"(?<=[ =])latest\b", run, line)  # of the kind that it speaks of
        unknown = re.findall(r"<[a-z][^>]*>", line)
        assert not unknown, f"nothing in tests/runs/block_world.py fills {unknown}"
        return line

    def _train(self, overrides: list[str]) -> str:
        known = {run.path for run in self.trompe.runs()}
        self.trompe("train", *overrides)
        (made,) = {run.path for run in self.trompe.runs()} - known
        return str(made.relative_to(self.folder))


_FIXED = [
    (r"<the same overrides>", " ".join(_GAN)),
    (r"<folder or zip>", "photos"),
    (r"<folder, zip or name of a data set>", "paintings"),
    (r"<path>", "weights.pth"),
    (r"<photographs>", "photos"),
    (r"<paintings>", "paintings"),
    (r"<(user|host|database)>", r"\1"),
    (r"outputs/<experiment>(?!/)", "outputs"),
    (r"<runs>", "outputs"),
    (r"<([\w.]+)(?:\|[\w.]+)+>", r"\1"),  # <1|2|3>
    (r"evaluate \.\.\.", "evaluate generated=photos reference=paintings"),
    (r" \.\.\.", ""),
    (r"(run=\S+ )kimg=800", r"\1kimg=0.096"),
]


def _picture(number: int) -> Image.Image:
    pixels = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
