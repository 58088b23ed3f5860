"""Style transfer: training against the usual perceptual network, stylizing against the usual run.

training   Johnson's method at 256 px, batch 4, with the embedded perceptual network, against the
same loop with VGG-16's relu2_2 and relu4_3 (random weights: only time counts)
stylizing  512 x 512 at the classic size of the network, as `trompe stylize` runs it, against the
plain network: fp32, eager, contiguous
"""

import argparse
import copy
import statistics
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, ClassVar

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor, nn
from torchvision.models import vgg16

from benchmarks.ratio import median_ratio, take_turns
from benchmarks.train import BareOptimizers, make_trainer_config
from trompe.command import config_dir
from trompe.data.content_style import StyleBatch
from trompe.engine.clock import Clock
from trompe.networks.perceptual_network import PerceptualNetwork
from trompe.networks.transformer import StyleTransformer
from trompe.stylizers.feed_forward import autocast_picture

SIDE, BATCH, STEPS = 256, 4, 4  # Johnson et al. 2016, sec. 4.1
PICTURE = 512


class VGG16(PerceptualNetwork):
    """With random weights: for its cost."""

    STAGES: ClassVar = {"relu2_2": 9, "relu4_3": 23}

    def __init__(self) -> None:
        super().__init__("vgg16", ("relu2_2", "relu4_3"), ("relu2_2",), self.STAGES)
        self.features = vgg16(weights=None).features[: max(self.STAGES.values())]
        self.to(memory_format=torch.channels_last)
        self.freeze()

    def walk(self, images: Tensor) -> Iterator[tuple[str, Tensor]]:
        """See `PerceptualNetwork`."""
        names = {count - 1: name for name, count in self.STAGES.items()}
        for number, layer in enumerate(self.features):
            images = layer(images)
            if number in names:
                yield names[number], images


def main(parser: argparse.ArgumentParser, words: list[str]) -> int:
    """Print both; 1 if one misses its aim."""
    arguments = parser.parse_args(words)
    missed = training(arguments.rounds)
    return int(missed | stylizing(arguments.rounds))


def training(rounds: int) -> bool:
    """Images/s with either perceptual network."""
    with initialize_config_dir(config_dir(), version_base="1.3"):
        cfg = compose("train", ["model=johnson", f"data.resolution={SIDE}", "name=benchmark"])
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    trainer_config = make_trainer_config(config)
    device = "cuda" if trainer_config["accelerator"] != "cpu" else "cpu"
    images = torch.randint(0, 256, (2, BATCH, 3, SIDE, SIDE), dtype=torch.uint8, device=device)
    batch = StyleBatch(images[0], images[1], torch.zeros(BATCH, dtype=torch.long))

    def steps(perceptual: PerceptualNetwork | None, precision: str) -> Callable[[], None]:
        chosen = {} if perceptual is None else {"perceptual": perceptual}
        clock = Clock(1e6, 1, BATCH)
        method = instantiate(config["model"], clock=clock, seed=0, _convert_="all", **chosen)
        method.get_buffer("style").random_(0, 256)
        bare = BareOptimizers(method.to(device), precision, device)

        def run() -> None:
            for _ in range(STEPS):
                bare.step(batch)
            method.means.read()

        return run

    precision = trainer_config["precision"]
    contestants = {
        "efflite0": steps(None, precision),
        "vgg16": steps(VGG16(), precision),
        "vgg16 fp32": steps(VGG16(), "32-true"),
    }
    seconds = take_turns(contestants, rounds)
    print(f"training Johnson's method, {SIDE} px, batch {BATCH}, {precision}")
    for name, values in seconds.items():
        print(f"  {name:<10} {STEPS * BATCH / statistics.median(values):6.2f} images/s")
    ratio = median_ratio(seconds["vgg16"], seconds["efflite0"])
    usual = median_ratio(seconds["vgg16 fp32"], seconds["efflite0"])
    print(f"  efflite0 / vgg16       {ratio:.2f}  (aim: at least 3)")
    print(f"  efflite0 / vgg16 fp32  {usual:.2f}")
    return ratio < 3


@torch.no_grad()
def stylizing(rounds: int) -> bool:
    """Pictures/s, and how far bfloat16 moves the picture."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    network = StyleTransformer(10).to(device).eval()
    network.last.weight.mul_(10)  # as large as after training: the picture uses the whole range
    plain, ours = network, copy.deepcopy(network)
    parameters = network.predict(torch.randn(1, 10, device=device))
    content = torch.rand(1, 3, PICTURE // 16, PICTURE // 16, device=device) * 2 - 1
    content = nn.functional.interpolate(content, scale_factor=16, mode="bicubic").clamp(-1, 1)
    pictures: dict[str, Tensor] = {}

    def make(name: str, generator: nn.Module, context: Any) -> Callable[[], None]:
        def run() -> None:
            with context:
                pictures[name] = generator(content, parameters).float()
            if device == "cuda":
                torch.cuda.synchronize()

        return run

    contestants = {
        "plain": make("plain", plain, nullcontext()),
        "trompe": make("trompe", ours, autocast_picture(torch.device(device))),
    }
    seconds = take_turns(contestants, rounds)
    error = (pictures["plain"] - pictures["trompe"]).square().mean()
    likeness = float(10 * torch.log10(4 / error))
    print(f"stylizing {PICTURE} x {PICTURE}, width 32, 5 blocks")
    for name, values in seconds.items():
        print(f"  {name:<10} {1000 * statistics.median(values):6.0f} ms")
    ratio = median_ratio(seconds["plain"], seconds["trompe"])
    print(f"  plain / trompe    {ratio:.2f}  (aim: at least 1.5)")
    print(f"  PSNR              {likeness:.1f} dB  (aim: above 40)")
    return ratio < 1.5 or likeness <= 40
