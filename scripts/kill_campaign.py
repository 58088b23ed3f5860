"""Kill runs at random moments, resume them until they are done, compare with runs left in peace.

`python scripts/kill_campaign.py [--one N] [--two N] [--ada N] [--pools N] [--sweep N] [--seed S]
[--output FOLDER]`, with the number of kills of each kind: runs of one process, runs of two (one of
which is killed, by turns the first and the other), of StyleGAN2 with its adaptive augmentation and
its mean of path lengths, of CycleGAN with its pools, and sweeps. Moments: anywhere from the start
of the command on; in the middle of training; while a checkpoint is being written; after the last
tick.

Weights, optimizer states, clock and records of every run must be bitwise equal to those of the
same run that nobody killed; no process may be left over. Otherwise the exit code is 1.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from trompe.engine.checkpoint import load_checkpoint
from trompe.engine.hardware import describe_hardware
from trompe.runs.differences import differing_tensor
from trompe.runs.index import find_folders, find_runs
from trompe.runs.run_folder import RunFolder

TICKS = 12
SHORT = [
    *("batch_size=8", "tick_kimg=0.096", f"kimg={0.096 * TICKS:g}", "evaluation.every_kimg=0.192"),
    *("samples.every_kimg=0.192", "samples.count=4", "trainer.precision=32-true", "logger=[]"),
]
SMALL_DATA = [
    *("data=shapes", "data.size=96", "data.resolution=16", "metrics=[random_conv]"),
    *("metrics.random_conv.n_images=40", "metrics.random_conv.n_reference=40"),
]
TINY = [
    "model=dcgan",
    "model.generator.width=8",
    "model.discriminator.width=8",
    *SMALL_DATA,
    *SHORT,
]
TINY_ADA = [
    *("model=stylegan2", "model/augment=ada", "model.augment.ada_kimg=1", "model.augment.every=1"),
    *("model.generator.base=64", "model.generator.latent_dim=8", "model.generator.style_dim=8"),
    *("model.penalty_every.r1=2", *SMALL_DATA, *SHORT),
]
TINY_POOLS = [
    *("model=cyclegan", "data=maps", "data.resolution=32", "model.pool_size=5"),
    *("model.generator.width=4", "model.generator.blocks=1", "model.discriminator.width=4"),
    *("metrics=[]", *SHORT),
]
KINDS = {
    "one process": ["train", *TINY, "trainer=cpu", "resume=auto"],
    "two processes": ["train", *TINY, "trainer=ddp_cpu", "resume=auto"],
    "ADA and path lengths": ["train", *TINY_ADA, "trainer=cpu", "resume=auto"],
    "pools": ["train", *TINY_POOLS, "trainer=cpu", "resume=auto"],
    "sweep": ["sweep", *TINY, "trainer=cpu", "sampler=grid", "objective=fd_random_conv"],
}
SPACE = "model.optimizer.lr=1e-4,2e-4,4e-4"
MOMENTS = ("anywhere", "training", "checkpoint", "end")
KILLS_PER_RUN = 4  # then it is left to finish
MARK = "TROMPE_KILL_CAMPAIGN"


class Campaign:
    """The kills of one kind.

    Args:
        kind: of `KINDS`.
        folder: for its runs.
        chance: draws the moments.
    """

    def __init__(self, kind: str, folder: Path, chance: random.Random) -> None:
        self.kind = kind
        self.folder = folder
        self.chance = chance
        self.counts: Counter[str] = Counter()
        self.differences: list[str] = []
        began = time.monotonic()
        self.reference = self.finish(folder / "reference")
        self.seconds = time.monotonic() - began

    def start(self, output: Path) -> subprocess.Popen[bytes]:
        """Start the command, or the one that resumes what it has begun."""
        arguments = KINDS[self.kind]
        if self.kind == "sweep":
            begun = next(output.glob("sweeps/*/sweep.yaml"), None)
            arguments = ["sweep", f"resume={begun.parent}"] if begun else [*arguments, SPACE]
        output.mkdir(parents=True, exist_ok=True)
        with (output / "log.txt").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "trompe", *arguments],
                cwd=output,
                stdout=log,
                stderr=log,
                env={**os.environ, "TROMPE_OUTPUT_DIR": str(output), MARK: str(output)},
                start_new_session=True,
            )

    def is_done(self, output: Path) -> bool:
        """Whether there is nothing to resume: the command would start another run."""
        if self.kind == "sweep":
            return False
        return any(run.read_facts()["status"] == "done" for run in find_runs(output))

    def finish(self, output: Path) -> list[RunFolder]:
        """Let it run to its end; its runs, in the order of the learning rate."""
        if not self.is_done(output) and (code := self.start(output).wait()):
            log = (output / "log.txt").read_text(errors="replace")
            raise SystemExit(f"{self.kind} ended with exit code {code}:\n{log}")
        found = [run for run in find_runs(output) if run.read_facts()["status"] == "done"]
        return sorted(found, key=lambda run: run.read_config()["model"]["optimizer"]["lr"])

    def run(self, kills: int) -> None:
        """Kill so often, in as many runs as it takes, and compare them all."""
        number = 0
        while self.counts["kills"] < kills:
            output = self.folder / f"{number:03d}"
            number += 1
            for _ in range(KILLS_PER_RUN):
                moment = self.chance.choice(MOMENTS[:2] if self.kind == "sweep" else MOMENTS)
                if self.counts["kills"] == kills or self.is_done(output):
                    break
                self.kill(output, moment)
            self.compare(output)

    def kill(self, output: Path, moment: str) -> None:
        """Start it and kill it at that moment, unless it has ended before."""
        before, left = records_in(output), written(output)
        process = self.start(output)
        self.await_moment(process, output, moment, before)
        if process.poll() is not None:
            return
        victims = [process.pid]
        if self.kind == "two processes" and self.counts["kills"] % 2:
            victims = [p for p in marked(output) if p != process.pid] or victims
        self.counts["kills"] += 1
        self.counts[moment] += 1
        if written(output) - left:
            self.counts["half a checkpoint"] += 1
        os.kill(victims[0], signal.SIGKILL)
        process.wait(120)
        until(lambda: not marked(output), 30)
        for pid in marked(output):
            self.counts["left over"] += 1
            os.kill(pid, signal.SIGKILL)

    def await_moment(
        self, process: subprocess.Popen[bytes], output: Path, moment: str, before: int
    ) -> None:
        """Return at that moment, or when the process has ended."""

        def ended() -> bool:
            return process.poll() is not None

        if moment == "anywhere":
            until(ended, self.chance.uniform(0, self.seconds))
            return
        ticks, left = TICKS - 1, written(output)
        if moment != "end":
            ticks = self.chance.randrange(before, max(before + 1, TICKS - 1))
        until(lambda: ended() or records_in(output) > ticks)
        if moment == "checkpoint":
            until(lambda: ended() or bool(written(output) - left), 5)
        else:
            until(ended, self.chance.uniform(0, 1 if moment == "end" else 0.2))

    def compare(self, output: Path) -> None:
        """Resume until it is done, and compare with the reference."""
        finished = self.finish(output)
        self.counts["runs"] += len(finished)
        if len(finished) != len(self.reference):
            self.differences.append(f"{output}: {len(finished)} runs, not {len(self.reference)}")
        for run, reference in zip(finished, self.reference, strict=False):
            found = differing_tensor(state_of(reference), state_of(run))
            if found is None and results_of(run) == results_of(reference):
                self.counts["equal"] += 1
            else:
                self.differences.append(f"{run.path}: {found or 'records'}")


def records_in(output: Path) -> int:
    """The number of ticks that the newest run below a folder has recorded."""
    found = find_runs(output)
    return len(found[-1].read_metrics()) if found else 0


def written(output: Path) -> set[Path]:
    """Checkpoints that are being written, or were when they were killed."""
    folders = (folder / "checkpoints" for folder in find_folders(output))
    return {file for folder in folders for file in folder.glob("*.tmp*")}


def state_of(run: RunFolder) -> dict[str, Any]:
    """What a checkpoint holds of the training."""
    state = load_checkpoint(run.last_checkpoint)
    return {key: state[key] for key in ("state_dict", "optimizer_states", "clock")}


def results_of(run: RunFolder) -> list[dict[str, Any]]:
    """The records without what depends on the time of day."""
    return [
        {k: v for k, v in record.items() if k != "time" and not k.startswith("speed/")}
        for record in run.read_metrics()
    ]


def marked(output: Path) -> list[int]:
    """The processes that were started for a folder and are running."""
    mark = f"{MARK}={output}".encode()
    found = []
    for process in psutil.process_iter():
        try:
            environment = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
            if mark in environment and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (OSError, psutil.Error):
            continue
    return found


def until(condition: Callable[[], bool], seconds: float = 600) -> None:
    """Wait for a condition, so long at most."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not condition():
        time.sleep(0.001)


def main() -> int:
    """Print a table of counts; 1 if a run differs or a process was left over."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--one", type=int, default=60, help="kills of one process")
    parser.add_argument("--two", type=int, default=30, help="kills of one of two processes")
    parser.add_argument("--ada", type=int, default=10, help="kills of StyleGAN2 with ADA")
    parser.add_argument("--pools", type=int, default=10, help="kills of CycleGAN")
    parser.add_argument("--sweep", type=int, default=10, help="kills of a sweep")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--output", type=Path, help="folder that keeps the runs")
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    hardware = describe_hardware()
    print(f"{hardware['cpu']}, {hardware['cpu_count']} cores; seed {asked.seed}", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        root = (asked.output or Path(temporary)).absolute()
        os.environ["TROMPE_CACHE_DIR"] = str(root / "cache")
        columns = ["kills", *MOMENTS, "half a checkpoint", "left over", "runs", "equal"]
        print("| |", " | ".join(columns), "|")
        print("|---" * (len(columns) + 1) + "|")
        bad = []
        kills = dict(
            zip(KINDS, (asked.one, asked.two, asked.ada, asked.pools, asked.sweep), strict=True)
        )
        for kind, count in kills.items():
            if count:
                campaign = Campaign(kind, root / kind.replace(" ", "_"), random.Random(asked.seed))
                campaign.run(count)
                counts = campaign.counts
                print(f"| {kind} |", " | ".join(str(counts[c]) for c in columns), "|", flush=True)
                bad += campaign.differences + ["a process was left over"] * counts["left over"]
    print("\n".join(bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
