"""Stands for `trompe train` where a test must know the values: quick, and without torch.

It takes overrides as `trompe train` does, writes the same folder and records, tick by tick,
``distance = (log10(lr) + 3)^2 + 4 / tick``: best at lr=1e-3, and falling for every lr.
"""

import math
import sys
import time
from pathlib import Path

from trompe.runs.run_folder import RunFolder

overrides = dict(argument.split("=", 1) for argument in sys.argv[1:])
if "run" in overrides:  # resumed, with one tick after another
    run = RunFolder(Path(overrides["run"].strip("'")))
    ticks, lr = run.read_config()["kimg"], run.read_config()["lr"]
else:
    ticks, lr = int(overrides.get("kimg", "10")), float(overrides["model.optimizer.lr"])
    run = RunFolder(Path(overrides["paths.output_dir"].strip("'")) / "planted" / "run")
    run.create({"kimg": ticks, "lr": lr}, sys.argv[1:], {})
for tick in range(1 + len(run.read_metrics()), ticks + 1):
    time.sleep(0.12)
    distance = (math.log10(lr) + 3) ** 2 + 4 / tick
    run.append_metrics({"kimg": float(tick), "tick": tick, "distance": distance, "speed": 1 / lr})
    run.last_checkpoint.parent.mkdir(exist_ok=True)
    run.last_checkpoint.touch()
run.update_facts(status="done", kimg=float(ticks))
