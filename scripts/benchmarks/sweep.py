"""What a sweep costs beside its trials: the same runs, one after the other, with and without it."""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from functools import partial

from benchmarks.ratio import take_turns

TRIALS = 4
# Seconds of training, so that what is around it shows.
RUN = [
    "experiment=dcgan_demo",
    "kimg=0.256",
    "tick_kimg=0.128",
    "evaluation.every_kimg=0.128",
    "metrics=[random_conv]",
    "logger=[]",
]


def main(parser: argparse.ArgumentParser, words: list[str]) -> int:
    """Print the seconds for each trial; 1 if the sweep adds more than the aim."""
    arguments = parser.parse_args(words)
    seeds = [str(seed) for seed in range(TRIALS)]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "TROMPE_OUTPUT_DIR": folder}
        run = partial(_run, environment)
        seconds = take_turns(
            {
                "train": lambda: [run("train", f"seed={seed}") for seed in seeds],
                "sweep": lambda: run(
                    "sweep", f"seed={','.join(seeds)}", "sampler=grid", "objective=fd_random_conv"
                ),
            },
            arguments.rounds,
        )
    each = {name: [value / TRIALS for value in values] for name, values in seconds.items()}
    for name, values in each.items():
        low, high = min(values), max(values)
        print(f"{name:<8} {statistics.median(values):6.2f} s a run ({low:.2f} to {high:.2f})")
    added = statistics.median(b - a for a, b in zip(each["train"], each["sweep"], strict=True))
    print(f"a sweep of {TRIALS} trials adds {added:.2f} s to each; aim: at most 2")
    return int(added > 2)


def _run(environment: dict[str, str], command: str, *overrides: str) -> None:
    words = [sys.executable, "-m", "trompe", command, *RUN, *overrides]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, env=environment)
