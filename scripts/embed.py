"""Make a run's averaged generator the stylizer that comes with the package.

`python scripts/embed.py RUN` writes the weights in half precision, their hash, the config of the
model and what it was trained on to `src/trompe/methods/embedded/`. The model card there is written
by hand.
"""

import argparse
import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import save

from trompe.methods.embedded import FACTS, FOLDER, WEIGHTS
from trompe.methods.trained import find_checkpoint
from trompe.runs.run_folder import open_run
from trompe.training.beginning_weights import seen_before

PREFIX = "generator_ema.network."
LARGEST = 8e6  # bytes
LICENSE = "apache-2.0"  # as the package


def main() -> None:
    """Read the run, write the two files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    run = open_run(parser.parse_args().run)
    checkpoint, _ = find_checkpoint(run, "last")
    weights = {
        name.removeprefix(PREFIX): value.half().contiguous()
        for name, value in checkpoint["state_dict"].items()
        if name.startswith(PREFIX)
    }
    assert all(value.isfinite().all() for value in weights.values())
    stored = save(weights)
    assert len(stored) <= LARGEST, f"{len(stored)} bytes are too many to ship"
    config, facts = run.read_config(), run.read_facts()
    config["data"].pop("cache_dir", None)
    keys = ("name", "seed", "batch_size", "data")
    told = {
        "sha256": hashlib.sha256(stored).hexdigest(),
        "parameters": sum(torch.Tensor(v).numel() for v in weights.values()),
        "run": facts["name"],
        "kimg": checkpoint["clock"]["images"] / 1000,
        "seen_kimg": checkpoint["clock"]["images"] / 1000 + seen_before(facts),
        "license": LICENSE,
        "commit": facts["code"]["commit"],
        "init": {k: v for k, v in (facts.get("init") or {}).items() if k != "weights"},
        # Not where things lie on one machine.
        "overrides": [o for o in run.read_overrides() if not o.startswith("init=")],
        "experiment": {key: config.get(key) for key in keys},
        "model": config["model"],
    }
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / WEIGHTS).write_bytes(stored)
    (FOLDER / FACTS).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(f"{len(stored) / 1e6:.2f} MB in {FOLDER}")


if __name__ == "__main__":
    main()
