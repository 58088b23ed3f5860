"""Speed, always as a ratio of things measured side by side in one run.

`python scripts/benchmark.py train` measures the training step of the 64-px DCGAN at batch 64:
  classic   a plain loop as tutorials write it: fp32, contiguous, gradients of everything,
            three `.item()` a step
  bare      our update in a bare loop, without Lightning's loops, logging or checkpoints
  trainer   our update under the full Trainer: tick records, progress, a tracker, checkpoints
The three take turns: one tick of the Trainer, as many bare steps, some classic ones. The medians of
the rounds' ratios are what counts, for a drifting machine slows all three alike.

`python scripts/benchmark.py startup` measures how long the command line takes to answer: the median
of `trompe --help` and of `trompe train --cfg job`, warm, next to that of an empty Python.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

from trompe.callbacks.checkpoint import TickCheckpoint
from trompe.callbacks.progress import Progress
from trompe.callbacks.record import BeginRecord, Record
from trompe.command import config_dir
from trompe.data.images import Batch
from trompe.engine.checkpoint import AtomicCheckpointIO
from trompe.engine.clock import Clock
from trompe.engine.hardware import describe_hardware, resolve_trainer
from trompe.loggers.csv_file import CSVFile
from trompe.runs.folder import RunFolder
from trompe.training import quiet_lightning

RESOLUTION, BATCH = 64, 64


class RandomImages(pl.LightningDataModule):
    """Batches from a set of random uint8 images in memory."""

    fingerprint = "random"

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.images = torch.randint(0, 256, (2048, 3, RESOLUTION, RESOLUTION), dtype=torch.uint8)
        self.batches = batches

    def __iter__(self) -> Iterator[Batch]:
        """One tick."""
        yield from self.take(self.batches)

    def take(self, count: int) -> Iterator[Batch]:
        """`count` random batches."""
        for _ in range(count):
            index = torch.randint(0, len(self.images), (BATCH,))
            yield Batch(self.images[index], torch.zeros(BATCH, dtype=torch.long))

    def __len__(self) -> int:
        """Batches in a tick."""
        return self.batches

    def train_dataloader(self) -> "RandomImages":
        """The data set is its own loader."""
        return self


def make_config() -> dict[str, Any]:
    """The resolved config of the default DCGAN at 64 px."""
    with initialize_config_dir(config_dir(), version_base="1.3"):
        overrides = ["data=shapes", f"data.resolution={RESOLUTION}", "name=benchmark"]
        cfg = compose("train", overrides)
    return OmegaConf.to_container(cfg, resolve=True)  # type: ignore[return-value]


def classic_loop(config: dict[str, Any], data: RandomImages) -> Callable[[int], None]:
    """A step function of the classic loop on the same networks."""
    generator = instantiate(config["model"]["generator"])
    discriminator = instantiate(config["model"]["discriminator"])
    adam = {"lr": 2e-4, "betas": (0.5, 0.999)}
    g_optimizer = torch.optim.Adam(generator.parameters(), **adam)
    d_optimizer = torch.optim.Adam(discriminator.parameters(), **adam)
    criterion = nn.BCEWithLogitsLoss()
    ones, zeros = torch.ones(BATCH), torch.zeros(BATCH)

    def run(steps: int) -> None:
        for batch in data.take(steps):
            real = batch.images.float() / 127.5 - 1
            discriminator.zero_grad()
            real_loss = criterion(discriminator(real), ones)
            real_loss.backward()
            fake = generator(torch.randn(BATCH, generator.latent_dim))
            fake_loss = criterion(discriminator(fake.detach()), zeros)
            fake_loss.backward()
            d_optimizer.step()
            generator.zero_grad()
            loss = criterion(discriminator(fake), ones)
            loss.backward()
            g_optimizer.step()
            _ = real_loss.item(), fake_loss.item(), loss.item()

    return run


class BareOptimizers:
    """Gives a method its optimisers and backward pass without a Trainer."""

    def __init__(self, method: Any, precision: str, device: str) -> None:
        self.method, self.bf16, self.device = method, precision == "bf16-mixed", device
        optimizers = method.configure_optimizers()
        method.optimizers = lambda: optimizers
        method.manual_backward = lambda loss: loss.backward()

    def step(self, batch: Batch) -> None:
        """One `training_step` under autocast."""
        batch = Batch(*(t.to(self.device) for t in batch))
        with torch.autocast(self.device, torch.bfloat16, enabled=self.bf16):
            self.method.training_step(batch, 0)


def make_method(config: dict[str, Any], clock: Clock) -> Any:
    """A fresh method."""
    torch.manual_seed(0)
    return instantiate(config["model"], clock=clock, seed=0, _convert_="all")


class Pace(pl.Callback):
    """Hands control between the Trainer's training loop and the other contestants at tick ends."""

    def __init__(self, between: Callable[[], None], times: list[float]) -> None:
        self.between, self.times = between, times
        self.start = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The others take their turns, then this tick is timed."""
        self.between()
        self.start = time.perf_counter()


class Stop(TickCheckpoint):
    """The tick's checkpoint, after which the tick is over."""

    def __init__(self, run: RunFolder, config: dict[str, Any], pace: Pace) -> None:
        super().__init__(run, config, monitor=None, mode="min")
        self.pace = pace

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save, then stop the watch: records, tracker and checkpoint are inside the time."""
        super().on_train_epoch_end(trainer, pl_module)
        self.pace.times.append(time.perf_counter() - self.pace.start)


def benchmark_train(rounds: int, steps: int, classic_steps: int) -> dict[str, list[float]]:
    """Images/s of the three in every round."""
    quiet_lightning()
    config = make_config()
    trainer_config = resolve_trainer({**config["trainer"], "devices": 1})
    device = "cuda" if trainer_config["accelerator"] != "cpu" else "cpu"
    data = RandomImages(steps)
    times: dict[str, list[float]] = {"classic": [], "bare": [], "trainer": []}
    classic = classic_loop(config, data)
    bare_method = make_method(config, Clock(1e6, steps * BATCH / 1000, BATCH)).to(device)
    bare = BareOptimizers(bare_method, trainer_config["precision"], device)

    def bare_block() -> None:
        for batch in data:
            bare.step(batch)
        bare_method.end_tick()

    def others() -> None:
        for name, block in (("classic", lambda: classic(classic_steps)), ("bare", bare_block)):
            start = time.perf_counter()
            block()
            times[name].append(time.perf_counter() - start)
        print(f"round {len(times['classic'])} of {rounds + 1}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder) / "run")
        run.create(config, [], {})
        tracker = CSVFile(project="benchmark", run_name="run", save_dir=str(run.path))
        pace = Pace(others, times["trainer"])
        stop = Stop(run, config, pace)
        clock = Clock((rounds + 1) * steps * BATCH / 1000, steps * BATCH / 1000, BATCH)
        record = Record(run, config, {"csv": tracker})
        trainer = pl.Trainer(
            **trainer_config,
            max_epochs=clock.ticks,
            plugins=[AtomicCheckpointIO()],
            callbacks=[pace, BeginRecord(), Progress(), record, stop],
            logger=[tracker],
            default_root_dir=run.path,
            log_every_n_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(make_method(config, clock), datamodule=data)
    counts = {"classic": classic_steps, "bare": steps, "trainer": steps}
    # The first round warms up caches and kernels.
    return {name: [counts[name] * BATCH / t for t in block[1:]] for name, block in times.items()}


def median_ratio(a: list[float], b: list[float]) -> float:
    """Median of the rounds' ratios: what was measured next to each other is compared."""
    return statistics.median(x / y for x, y in zip(a, b, strict=True))


def benchmark_startup(rounds: int) -> dict[str, float]:
    """Median wall seconds of the commands that should answer at once, taking turns."""
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "trompe --help": [sys.executable, "-m", "trompe", "--help"],
        "trompe train --cfg job": [sys.executable, "-m", "trompe", "train", "--cfg", "job"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(t[1:]) for name, t in times.items()}


def main() -> int:
    """Print the machine, the figures and their aims; 1 if one misses its aim."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["train", "startup"])
    parser.add_argument("--rounds", type=int, default=5, help="blocks of each that count")
    parser.add_argument("--steps", type=int, default=62, help="steps of a tick (default: 4 kimg)")
    parser.add_argument("--classic-steps", type=int, default=12)
    arguments = parser.parse_args()
    hardware = describe_hardware()
    print(
        f"{hardware['cpu']}, {hardware['cpu_count']} cores, GPUs {hardware['gpus']}, "
        f"torch {torch.__version__}"
    )
    if arguments.what == "startup":
        seconds = benchmark_startup(arguments.rounds)
        for name, value in seconds.items():
            print(f"{name:<24} {value:.3f} s")
        print("aim: each under 0.5 s")
        return int(max(seconds.values()) >= 0.5)
    rates = benchmark_train(arguments.rounds, arguments.steps, arguments.classic_steps)
    print(f"{RESOLUTION} px, batch {BATCH}")
    for name, values in rates.items():
        low, middle, high = min(values), statistics.median(values), max(values)
        print(f"{name:<8} {middle:8.1f} images/s  ({low:.1f} to {high:.1f})")
    speedup = median_ratio(rates["trainer"], rates["classic"])
    overhead = 1 - median_ratio(rates["trainer"], rates["bare"])
    print(f"trainer / classic     {speedup:.2f}  (aim: at least 2.3 on a CPU with bf16)")
    print(f"trainer against bare  {overhead:+.1%} slower  (aim: at most 2 %)")
    return int(speedup < 2.3 or overhead > 0.02)


if __name__ == "__main__":
    sys.exit(main())
