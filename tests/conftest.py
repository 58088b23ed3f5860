"""The command line as a user runs it, on tiny runs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from tests.warm import Process
from trompe.runs.run_folder import RunFolder

# A run of four ticks of 6 batches on 16-px pictures: seconds, imports included.
TINY = [
    "data=shapes",
    "data.size=96",
    "data.resolution=16",
    "batch_size=8",
    "tick_kimg=0.048",
    "kimg=0.192",
    "metrics=[random_conv]",
    "metrics.random_conv.n_images=40",
    "metrics.random_conv.n_reference=40",
    "evaluation.every_kimg=0.096",
    "samples.every_kimg=0.096",
    "samples.count=4",
    "logger=[]",
    "trainer=cpu",
    "trainer.precision=32-true",
]
FAMILIES = {
    "dcgan": ["model=dcgan", "model.generator.width=8", "model.discriminator.width=8"],
    "sndcgan": ["model=sndcgan", "model.generator.width=8", "model.discriminator.width=8"],
    "mlp_gan": ["model=mlp_gan", "model.generator.width=32", "model.discriminator.width=16"],
}

# The same of style transfer, whose data are pairs.
TINY_STYLE = [
    "model=adversarial_style",
    "data.resolution=32",
    "data.source_resolution=32",
    "data.style.size=12",
    "model.generator.width=4",
    "model.generator.blocks=1",
    "model.discriminator.width=4",
    "model.warmup_kimg=0.04",
    *(override for override in TINY if not override.startswith("data")),
]

_WORKER = 2 * 2**30  # bytes, with the processes that it starts


def pytest_xdist_auto_num_workers() -> int:
    """For ``-n auto``: more than there are cores, since tests wait half of their time."""
    cores = len(os.sched_getaffinity(0))
    fitting = psutil.virtual_memory().available // _WORKER
    return max(1, min(cores + 2, fitting))


class Trompe:
    """Runs `trompe` in processes of their own, in a folder and with caches of the test's own."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self.outputs = folder / "outputs"
        self.env = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "TROMPE_OUTPUT_DIR": str(self.outputs),
            "TROMPE_CACHE_DIR": str(cache),
            "PYTHONWARNINGS": "default",
        }

    def start(self, *arguments: str, largest: int | None = None, **env: str) -> Process:
        return Process(list(arguments), self.folder, {**self.env, **env}, largest)

    def start_afresh(self, *arguments: str, **env: str) -> subprocess.Popen:
        """In a process that shares nothing with others, as do those that it starts."""
        return subprocess.Popen(
            [sys.executable, "-m", "trompe", *arguments],
            cwd=self.folder,
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, code: int = 0, **env: str) -> subprocess.CompletedProcess:
        process = self.start(*arguments, **env)
        out, err = process.communicate(timeout=240)
        assert process.returncode == code, f"exit code {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def fails(self, *arguments: str, **env: str) -> str:
        """The one line of a user's mistake: exit code 2, no traceback."""
        return the_line(self(*arguments, code=2, **env).stderr)

    def fails_on_a_full_disk(self, *arguments: str, largest: int) -> str:
        """The same where no file can grow beyond `largest` bytes, which fails as a full disk."""
        process = self.start(*arguments, largest=largest)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 2, err
        return the_line(err)

    def runs(self) -> list[RunFolder]:
        return [RunFolder(path.parent) for path in sorted(self.outputs.glob("*/*/run.json"))]

    def stop_after(self, ticks: int, how: signal.Signals, *arguments: str) -> RunFolder:
        """Start a run and send it a signal once it has saved `ticks` ticks."""
        known = {run.path for run in self.runs()}

        def new() -> list[RunFolder]:
            return [run for run in self.runs() if run.path not in known]

        def saved() -> bool:
            # The record of a tick is written right before its checkpoint.
            return any(len(run.read_metrics()) > ticks for run in new())

        process = self.start(*arguments)
        wait(lambda: process.poll() is not None or saved())
        assert process.poll() is None, process.communicate()
        process.send_signal(how)
        process.communicate(timeout=60)
        return new()[0]


def the_line(err: str) -> str:
    lines = [line for line in err.splitlines() if line.startswith("trompe: ")]
    assert len(lines) == 1, err
    assert "Traceback" not in err
    return lines[0]


def wait(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def trompe(tmp_path: Path, cache: Path) -> Trompe:
    return Trompe(tmp_path, cache)


def load(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def difference(a: Any, b: Any, where: str = "") -> str | None:
    """Where two checkpoints differ first, or None if they are bitwise equal."""
    if isinstance(a, dict):
        if a.keys() != b.keys():
            return f"{where}: keys {a.keys() ^ b.keys()}"
        found = (difference(a[k], b[k], f"{where}/{k}") for k in a)
    elif isinstance(a, list | tuple):
        found = (
            difference(x, y, f"{where}/{i}") for i, (x, y) in enumerate(zip(a, b, strict=True))
        )
    elif isinstance(a, torch.Tensor):
        return None if torch.equal(a, b) else where
    else:
        return None if a == b else f"{where}: {a} != {b}"
    return next((f for f in found if f), None)


def check_weights(one: RunFolder, other: RunFolder, tolerance: float) -> None:
    """Refuse last checkpoints in which a tensor's difference is more than rounding.

    Their root mean squares are compared, in the order of a step of Adam if something is wrong:
    where an absolute value of a loss has its kink, rounding can turn a few gradients' signs.
    """
    first, second = (load(run.last_checkpoint)["state_dict"] for run in (one, other))
    assert first.keys() == second.keys()
    for name, weights in first.items():
        rms = (weights.double() - second[name].double()).square().mean().sqrt()
        assert rms <= tolerance, f"{name} differs by {rms:.2g}"


def values(run: RunFolder) -> list[dict[str, Any]]:
    """The run's records without what depends on the time of day."""
    return [
        {k: v for k, v in record.items() if k != "time" and not k.startswith("speed/")}
        for record in run.read_metrics()
    ]


def beginning_of(run: RunFolder) -> Any:
    """What a session has of its run folder, once that is open."""
    from trompe.training.recorded import Beginning
    from trompe.training.session import Session

    beginning = Beginning(Session(run, {}, [], resumed=False), {}, {}, is_first=True)
    beginning.run = run
    return beginning
