"""What metrics cost: the Fréchet distance, the features, and tracking a default training run."""

import argparse
import statistics
import time
from functools import partial
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor

from benchmarks.ratio import median_ratio, take_turns
from benchmarks.train import BareOptimizers, RandomImages, make_method, make_trainer_config
from trompe.command import config_dir
from trompe.engine.clock import Clock
from trompe.metrics.evaluation import evaluate
from trompe.metrics.features import EfficientNetLite0
from trompe.metrics.frechet import distance_of_moments, fit_gaussian

DIMENSIONS = 2048  # of Inception's features


def main(parser: argparse.ArgumentParser, words: list[str]) -> int:
    """Print all three; 1 if one misses its aim."""
    arguments = parser.parse_args(words)
    missed = distance(arguments.rounds)
    features(arguments.rounds)
    return int(missed | tracking())


def distance(rounds: int) -> bool:
    """From prepared statistics: ours, torchmetrics', scipy's matrix root."""
    from scipy.linalg import sqrtm
    from torchmetrics.image.fid import _compute_fid

    generator = torch.Generator().manual_seed(0)
    real, made = (_features(generator) for _ in range(2))
    reference = fit_gaussian(real)
    (mean, covariance), (other_mean, other) = ((x.mean(0), x.T.cov()) for x in (real, made))

    def by_root() -> float:
        root = torch.from_numpy(sqrtm((covariance @ other).numpy()).real)
        between = (mean - other_mean).square().sum()
        return float(between + covariance.trace() + other.trace() - 2 * root.trace())

    contestants = {
        "trompe": lambda: float(distance_of_moments(reference, other_mean, other)),
        "torchmetrics": lambda: float(_compute_fid(mean, covariance, other_mean, other)),
        "scipy sqrtm": by_root,
    }
    values = {name: work() for name, work in contestants.items()}
    seconds = take_turns(contestants, rounds)
    print(f"Fréchet distance of prepared statistics, {DIMENSIONS} dimensions")
    for name, times in seconds.items():
        error = abs(values[name] / values["scipy sqrtm"] - 1)
        print(f"  {name:<14} {statistics.median(times):6.2f} s   off by {error:.0e}")
    ours = seconds["trompe"]
    first = median_ratio(seconds["torchmetrics"], ours)
    second = median_ratio(seconds["scipy sqrtm"], ours)
    print(f"  torchmetrics / trompe {first:.1f}  (aim: at least 3)")
    print(f"  scipy / trompe        {second:.1f}  (aim: at least 8)")
    return first < 3 or second < 8


def _features(generator: torch.Generator) -> Tensor:
    """5,000 with a spectrum that falls as that of real features does, float64."""
    scales = torch.arange(1, DIMENSIONS + 1, dtype=torch.float64) ** -0.5
    mix = torch.randn(DIMENSIONS, DIMENSIONS, generator=generator, dtype=torch.float64)
    noise = torch.randn(5000, DIMENSIONS, generator=generator, dtype=torch.float64)
    return noise * scales @ mix / DIMENSIONS**0.5


def features(rounds: int) -> None:
    """Images/s through the embedded network."""
    network = EfficientNetLite0()
    images = torch.randint(0, 256, (512, 3, 64, 64), dtype=torch.uint8)
    seconds = take_turns({"features": partial(network, images)}, rounds)["features"]
    rate = len(images) / statistics.median(seconds)
    threads = torch.get_num_threads()
    print(f"features efflite0: {rate:.0f} images/s of 64 px on {threads} CPU threads")


def tracking() -> bool:
    """Share of a default run's wall time that its metrics take, the cold cache included."""
    with initialize_config_dir(config_dir(), version_base="1.3"):
        cfg = compose("train", ["name=benchmark", "metrics.efflite0.cache_dir=null"])
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    trainer_config = make_trainer_config(config)
    device = "cuda" if trainer_config["accelerator"] != "cpu" else "cpu"
    steps, size = 20, config["batch_size"]
    method = make_method(config, Clock(config["kimg"], config["tick_kimg"], size)).to(device)
    bare, batches = BareOptimizers(method, trainer_config["precision"], device), RandomImages(steps)

    def train() -> None:
        for batch in batches:
            bare.step(batch)
        method.means.read()

    data = instantiate(config["data"], _convert_="all")
    data.setup()
    metrics = {k: instantiate(v, _convert_="all") for k, v in config["metrics"].items()}
    start = time.perf_counter()
    for metric in metrics.values():
        metric.to(device).prepare(data)
    prepare = time.perf_counter() - start
    seconds = take_turns({"train": train, "evaluate": lambda: evaluate(method, metrics, data)}, 3)
    step = statistics.median(seconds["train"]) / steps
    each = statistics.median(seconds["evaluate"])
    kimg, every = config["kimg"], config["evaluation"]["every_kimg"]
    training = kimg * 1000 / size * step
    measuring = prepare + kimg / every * each
    share = measuring / (training + measuring)
    print(
        f"tracking a default run ({kimg} kimg): {training:.0f} s of steps, {prepare:.1f} s for the "
        f"reference, {kimg / every:.0f} x {each:.1f} s: {share:.1%} of all  (aim: at most 5 %)"
    )
    return share > 0.05
