"""The training step of the 64-px DCGAN at batch 64, against the usual loops.

  classic   a plain loop: fp32, contiguous, every backward pass through both networks, three
            `.item()` a step
  detached  the same, but its discriminator step does not go through the generator
  bare      our update in a bare loop, without Lightning's loops, logging or checkpoints
  trainer   our update under the full Trainer: tick records, progress, a tracker, checkpoints

Each runs in its own process, as in real use, and they take turns. First the machine's own roof is
measured: the highest rate of a matrix product and of the model's convolutions.
"""

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from benchmarks.classic import ClassicLoop
from benchmarks.ratio import median_ratio
from benchmarks.roof import Roof, flops_of, measure_roof
from trompe.callbacks.progress import Progress
from trompe.command import config_dir
from trompe.data.image_data import Batch
from trompe.engine.checkpoint import AtomicCheckpointIO
from trompe.engine.clock import Clock
from trompe.engine.hardware import cpu_has_bf16, keep_freed_memory, resolve_trainer
from trompe.loggers.csv_file import CSVFile
from trompe.metrics.evaluation import Evaluation
from trompe.runs.run_folder import RunFolder
from trompe.training.best import Best
from trompe.training.lightning import quiet_lightning
from trompe.training.tick import Tick

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
        for _ in range(self.batches):
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


def run_classic(turns: Connection, steps: int, rounds: int, detach: bool = False) -> None:
    """The classic loop on the same networks as plain layers, `steps` a turn."""
    data, loop = RandomImages(steps), ClassicLoop(detach)

    def block() -> None:
        for batch in data:
            loop.step(batch.images)

    take_turns(turns, rounds, block)


def run_detached(turns: Connection, steps: int, rounds: int) -> None:
    """The classic loop that detaches the generated images."""
    run_classic(turns, steps, rounds, detach=True)


class BareOptimizers:
    """Gives a method its optimizers and backward pass without a Trainer."""

    def __init__(self, method: Any, precision: str, device: str) -> None:
        self.method, self.bf16, self.device = method, precision == "bf16-mixed", device
        optimizers = method.configure_optimizers()
        method.optimizers = lambda: optimizers
        method.manual_backward = lambda loss: loss.backward()

    def step(self, batch: Any) -> None:
        """One `training_step` under autocast."""
        batch = type(batch)(*(t.to(self.device) for t in batch))
        with torch.autocast(self.device, torch.bfloat16, enabled=self.bf16):
            self.method.training_step(batch, 0)


def make_method(config: dict[str, Any], clock: Clock) -> Any:
    """A fresh method."""
    torch.manual_seed(0)
    return instantiate(config["model"], clock=clock, seed=0, _convert_="all")


class Pace(pl.Callback):
    """First of the Trainer's callbacks: a tick begins when it is this process's turn."""

    def __init__(self, turns: Connection) -> None:
        self.turns = turns
        self.start = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Wait, then start the watch."""
        self.turns.recv()
        self.start = time.perf_counter()


class Stop(Tick):
    """Ends the tick, then training."""

    def __init__(
        self, run: RunFolder, config: dict[str, Any], trackers: dict[str, Any], pace: Pace
    ) -> None:
        nothing = Evaluation({}, every_kimg=1)
        super().__init__(run, config, nothing, None, Best({}, None, "auto"), trackers)
        self.pace = pace

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save, then stop the watch: records, tracker and checkpoint are inside the time."""
        super().on_train_epoch_end(trainer, pl_module)
        self.pace.turns.send(time.perf_counter() - self.pace.start)


def run_bare(turns: Connection, steps: int, rounds: int) -> None:
    """Our update alone, `steps` a turn."""
    config = make_config()
    trainer_config = make_trainer_config(config)
    device = "cuda" if trainer_config["accelerator"] != "cpu" else "cpu"
    method = make_method(config, Clock(1e6, steps * BATCH / 1000, BATCH)).to(device)
    bare, data = BareOptimizers(method, trainer_config["precision"], device), RandomImages(steps)

    def block() -> None:
        for batch in data:
            bare.step(batch)
        method.means.read()

    take_turns(turns, rounds, block)


def run_trainer(turns: Connection, steps: int, rounds: int) -> None:
    """Our update under the Trainer, a tick of `steps` a turn."""
    quiet_lightning()
    config = make_config()
    trainer_config = make_trainer_config(config)
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder) / "run")
        run.create(config, [], {})
        tracker = CSVFile(project="benchmark", run_name="run", save_dir=str(run.path))
        pace = Pace(turns)
        stop = Stop(run, config, {"csv": tracker}, pace)
        clock = Clock(rounds * steps * BATCH / 1000, steps * BATCH / 1000, BATCH)
        trainer = pl.Trainer(
            **trainer_config,
            max_epochs=clock.ticks,
            plugins=[AtomicCheckpointIO()],
            callbacks=[pace, Progress(), stop],
            logger=[tracker],
            default_root_dir=run.path,
            log_every_n_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(make_method(config, clock), datamodule=RandomImages(steps))


def take_turns(turns: Connection, rounds: int, block: Callable[[], None]) -> None:
    """Time `block` whenever it is this process's turn."""
    for _ in range(rounds):
        turns.recv()
        start = time.perf_counter()
        block()
        turns.send(time.perf_counter() - start)


def make_trainer_config(config: dict[str, Any]) -> dict[str, Any]:
    """What training on one device of this machine would use."""
    trainer_config = resolve_trainer({**config["trainer"], "devices": 1})
    if trainer_config["accelerator"] == "cpu":
        keep_freed_memory()
    return trainer_config


class Step(NamedTuple):
    """Our update on this machine, measured before the turns.

    `seconds` of one, `flops` that it computes, `roof` of the machine.
    """

    seconds: float
    flops: int
    roof: Roof


def measure_step(results: Connection) -> None:
    """Send the `Step` of this machine."""
    config = make_config()
    trainer_config = make_trainer_config(config)
    method = make_method(config, Clock(1e6, 4, BATCH))
    bf16 = trainer_config["precision"] == "bf16-mixed"
    bare = BareOptimizers(method, trainer_config["precision"], "cpu")
    (batch,) = RandomImages(1)
    flops = flops_of(lambda: bare.step(batch))
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        bare.step(batch)
        seconds.append(time.perf_counter() - start)
    inputs = [torch.randn(BATCH, 100), torch.randn(BATCH, 3, RESOLUTION, RESOLUTION)]
    roof = measure_roof([method.generator, method.discriminator], inputs, bf16)
    results.send(Step(min(seconds), flops, roof))


def in_own_process(work: Callable[[Connection], None]) -> Any:
    """What `work` sends."""
    spawn = multiprocessing.get_context("spawn")
    mine, theirs = spawn.Pipe()
    spawn.Process(target=work, args=(theirs,), daemon=True).start()
    theirs.close()
    return mine.recv()


def benchmark(rounds: int, steps: int, classic_steps: int) -> dict[str, list[float]]:
    """Images/s of each in every round, printed as they come."""
    contestants = {
        "classic": (run_classic, classic_steps),
        "detached": (run_detached, classic_steps),
        "bare": (run_bare, steps),
        "trainer": (run_trainer, steps),
    }
    spawn = multiprocessing.get_context("spawn")
    turns: dict[str, Connection] = {}
    for name, (target, count) in contestants.items():
        turns[name], theirs = spawn.Pipe()
        spawn.Process(target=target, args=(theirs, count, rounds + 1), daemon=True).start()
        theirs.close()
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, (_, count) in contestants.items():
            turns[name].send("go")
            rates[name].append(count * BATCH / turns[name].recv())
        now = ", ".join(f"{name} {values[-1]:.1f}" for name, values in rates.items())
        print(f"round {turn} of {rounds}: {now} images/s", file=sys.stderr, flush=True)
    # Round 0 warms up caches and kernels.
    return {name: values[1:] for name, values in rates.items()}


def main(parser: argparse.ArgumentParser, words: list[str]) -> int:
    """Print images/s, ratios and the share of the roof; 1 if one misses its aim."""
    parser.set_defaults(rounds=3)
    parser.add_argument(
        "--seconds", type=float, default=14, help="about as long is a turn of ours; half, of others"
    )
    arguments = parser.parse_args(words)
    step = None
    if not torch.cuda.is_available():
        step = in_own_process(measure_step)
        print(f"roof  {step.roof.matrix:.0f} GFLOP/s matrix product, ", end="")
        print(f"{step.roof.convolution:.0f} convolution; a step has {step.flops / 1e9:.1f} GFLOP")
    # Ticks of at most 4 kimg, the default.
    steps = 62 if step is None else max(4, min(62, round(arguments.seconds / step.seconds)))
    rates = benchmark(arguments.rounds, steps, max(2, min(12, steps // 4)))
    print(f"{RESOLUTION} px, batch {BATCH}")
    for name, values in rates.items():
        low, middle, high = min(values), statistics.median(values), max(values)
        print(f"{name:<8} {middle:8.1f} images/s  ({low:.1f} to {high:.1f})")
    speedup = median_ratio(rates["trainer"], rates["classic"])
    overhead = 1 - median_ratio(rates["trainer"], rates["bare"])
    print(f"trainer / classic     {speedup:.2f}  (aim on a CPU with bf16: at least 2.3)")
    print(f"trainer / detached    {median_ratio(rates['trainer'], rates['detached']):.2f}")
    print(f"trainer against bare  {overhead:+.1%} slower  (aim: at most 2 %)")
    if step is None or cpu_has_bf16():
        return int(speedup < 2.3 or overhead > 0.02)
    share = step.flops * statistics.median(rates["bare"]) / BATCH / 1e9 / step.roof.best
    print(
        f"bare / roof           {share:.0%}  (aim: at least 85 % of {step.roof.best:.0f} GFLOP/s)"
    )
    return int(share < 0.85 or overhead > 0.02)
