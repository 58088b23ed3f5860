"""How long the command line takes to answer, warm, next to an empty Python."""

import argparse
import statistics
import subprocess
import sys
from functools import partial

from benchmarks.ratio import take_turns

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "trompe --help": ["-m", "trompe", "--help"],
    "trompe train --cfg job": ["-m", "trompe", "train", "--cfg", "job"],
}


def main(parser: argparse.ArgumentParser, words: list[str]) -> int:
    """Print the medians; 1 if one misses its aim."""
    arguments = parser.parse_args(words)
    contestants = {name: partial(_run, words) for name, words in COMMANDS.items()}
    seconds = take_turns(contestants, arguments.rounds)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in medians.items():
        print(f"{name:<24} {value:.3f} s")
    print("aim: each under 0.5 s")
    return int(max(medians.values()) >= 0.5)


def _run(words: list[str]) -> None:
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
