"""The classic DCGAN, as the public examples have it: a plain loop of plain layers.

`benchmark.py classic [--kimg 74] [--every 10] [--seed 0] --output FOLDER data=...` trains it on the
images of a data set. 74 kimg are its hour of one core, as the budgets of the recipes `small_...`
are theirs: the loop makes 30.6 images/s where `small_dcgan` makes 133 and has 320 kimg (one core of
an AMD EPYC with AVX2, both busy). Overrides are those of `trompe train`. The folder gets
`metrics.jsonl`, grids and, at the end, `card.json`; the distances have the protocol of
`trompe train metrics=[efflite0,efflite2]`.
"""

import argparse
import json
import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import Tensor, nn

from trompe.command import config_dir
from trompe.engine.randomness import keyed_generator
from trompe.images import save_grid, to_uint8
from trompe.methods.capabilities import Images, Latents
from trompe.metrics.evaluation import evaluate
from trompe.parts import make
from trompe.tasks.evaluate import make_card, report

BATCH = 64
HOUR = 74  # kimg
METRICS = ["metrics=[efflite0,efflite2]"]
FINAL = [  # as `trompe evaluate` is asked for the others: docs/results.md
    f"metrics.{name}.{key}"
    for name in ("efflite0", "efflite2")
    for key in ("n_images=8192", "n_reference=8192", "measures=[fd,kd,precision,recall]")
]


def classic_networks(width: int = 64) -> tuple[nn.Module, nn.Module]:
    """The 64-px DCGAN (Radford et al. 2015), weights from N(0, 0.02)."""
    widths = [8 * width, 4 * width, 2 * width, width]
    generator: list[nn.Module] = [nn.ConvTranspose2d(100, widths[0], 4, 1, 0, bias=False)]
    discriminator: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for wide, narrow in pairwise(widths):
        generator += [nn.BatchNorm2d(wide), nn.ReLU()]
        generator += [nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False)]
    for narrow, wide in pairwise(reversed(widths)):
        discriminator += [nn.Conv2d(narrow, wide, 4, 2, 1, bias=False)]
        discriminator += [nn.BatchNorm2d(wide), nn.LeakyReLU(0.2)]
    generator += [nn.BatchNorm2d(width), nn.ReLU()]
    generator += [nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh()]
    discriminator.append(nn.Conv2d(widths[0], 1, 4, 1, 0, bias=False))
    made = nn.Sequential(*generator), nn.Sequential(*discriminator)
    for layer in (layer for network in made for layer in network):
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1, 0.02)
    return made


class ClassicLoop:
    """In float32, contiguous, every backward pass through both networks, three `.item()` a step.

    Args:
        detach: whether the discriminator's step does not go through the generator.
    """

    def __init__(self, detach: bool = False) -> None:
        self.generator, self.discriminator = classic_networks()
        self.detach = detach
        adam = {"lr": 2e-4, "betas": (0.5, 0.999)}
        self.g_optimizer = torch.optim.Adam(self.generator.parameters(), **adam)  # type: ignore[arg-type]
        self.d_optimizer = torch.optim.Adam(self.discriminator.parameters(), **adam)  # type: ignore[arg-type]
        self.criterion = nn.BCEWithLogitsLoss()

    def step(self, images: Tensor) -> tuple[float, float, float]:
        """One step on uint8 images (N, 3, 64, 64); losses on real, on fake, and the generator's."""
        count = len(images)
        ones, zeros = torch.ones(count), torch.zeros(count)
        real = images.float() / 127.5 - 1
        self.discriminator.zero_grad()
        real_loss = self.criterion(self.discriminator(real).flatten(), ones)
        real_loss.backward()
        fake = self.generator(torch.randn(count, 100, 1, 1))
        seen = fake.detach() if self.detach else fake
        fake_loss = self.criterion(self.discriminator(seen).flatten(), zeros)
        fake_loss.backward(retain_graph=not self.detach)
        self.d_optimizer.step()
        self.generator.zero_grad()
        loss = self.criterion(self.discriminator(fake).flatten(), ones)
        loss.backward()
        self.g_optimizer.step()
        return real_loss.item(), fake_loss.item(), loss.item()


class Trained:
    """A generator as `evaluate` takes it; as in training, with the statistics of each batch."""

    device = torch.device("cpu")

    def __init__(self, generator: nn.Module) -> None:
        self.generator = generator

    def draw_inputs(self, data: Any, count: int, purpose: str) -> Latents:
        """The same every time."""
        return Latents(torch.randn(count, 100, generator=keyed_generator(0, purpose)))

    @torch.no_grad()
    def generate(self, inputs: Latents) -> Images:
        """Images in [-1, 1]."""
        return Images(self.generator(inputs.latents[..., None, None]))


def batches(data: Any) -> Iterator[Tensor]:
    """uint8 images in shuffled batches, without end."""
    while True:
        for indices in torch.randperm(data.split_size("train")).split(BATCH):
            yield data.gather("train", indices).images


def train(data: Any, kimg: float, every: float, output: Path, metrics: dict[str, Any]) -> Trained:
    """Train on so many thousand images, and measure now and then."""
    loop, stream, images_seen = ClassicLoop(), batches(data), 0
    trained = Trained(loop.generator)
    shown = trained.draw_inputs(data, 64, "sample grid")
    marks = [min(every * (i + 1), kimg) for i in range(math.ceil(kimg / every))]
    with (output / "metrics.jsonl").open("w") as log:
        for mark in marks:
            while images_seen < 1000 * mark:
                images = next(stream)
                loop.step(images)
                images_seen += len(images)
            scores = evaluate(trained, metrics, data)
            values = {name: score.value for name, score in scores.items()}
            seen = images_seen / 1000
            record = {"kimg": seen, **values}
            print(json.dumps(record), file=log, flush=True)
            print(record, flush=True)
            grid = to_uint8(trained.generate(shown).images)
            save_grid(grid, output / f"{seen:07.1f}.png")
    return trained


def main(parser: argparse.ArgumentParser, words: list[str]) -> int:
    """Train, measure, write the card."""
    parser.add_argument("--kimg", type=float, default=HOUR, help="thousands of images to train on")
    parser.add_argument("--every", type=float, default=10, help="kimg between measurements")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("overrides", nargs="*", help="of trompe train, such as data=robohash")
    asked = parser.parse_args(words)
    asked.output.mkdir(parents=True)
    torch.manual_seed(asked.seed)
    common = ["name=classic", "data.resolution=64", *METRICS, *asked.overrides]
    with initialize_config_dir(config_dir(), version_base="1.3"):
        cfg, final = (compose("train", [*common, *more]) for more in ([], FINAL))
    data = instantiate(cfg.data, _convert_="all")
    data.setup()
    metrics, last = (make(c.metrics, "metrics") for c in (cfg, final))
    for metric in (*metrics.values(), *last.values()):
        metric.prepare(data)
    trained = train(data, asked.kimg, asked.every, asked.output, metrics)
    for metric in last.values():
        metric.with_errors, metric.is_strict = True, False
    subject = {"loop": "classic DCGAN", "kimg": asked.kimg, "seed": asked.seed}
    report(make_card(subject, last, evaluate(trained, last, data)), asked.output / "card.json")
    return 0
