"""Speed, always as a ratio of things measured side by side in one run.

`python scripts/benchmark.py WHAT [--rounds N]`, WHAT one of the modules of `scripts/benchmarks`:
  train     the training step of the DCGAN against the usual loops
  metrics   the Fréchet distance against other implementations, features, and what tracking costs
  style     training with the embedded perceptual network, and stylizing
  style_peers  the embedded stylizer beside its peers, on pictures that none has seen
  adversary    what the adversarial term buys in style transfer
  sweep     what a sweep adds to its trials
  classic   the classic DCGAN trained on so many images, for docs/results.md
  small_budget  what models reach in an hour of one core: the table and picture of docs/results.md
  startup   how long the command line takes to answer
"""

import argparse
import importlib
import sys

import torch

from trompe.engine.hardware import describe_hardware

KNOWN = (
    *("train", "metrics", "style", "style_peers", "adversary", "sweep"),
    *("classic", "small_budget", "startup"),
)


def main() -> int:
    """Print the machine, the figures and their aims; 1 if one misses its aim."""
    words = sys.argv[1:]
    what = words[0] if words else ""
    if what not in KNOWN:
        print((__doc__ or "").strip(), file=sys.stderr)
        return 2
    parser = argparse.ArgumentParser(prog=f"benchmark.py {what}")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count")
    hardware = describe_hardware()
    print(
        f"{hardware['cpu']}, {hardware['cpu_count']} cores, GPUs {hardware['gpus']}, "
        f"torch {torch.__version__}"
    )
    return importlib.import_module(f"benchmarks.{what}").main(parser, words[1:])


if __name__ == "__main__":
    sys.exit(main())
