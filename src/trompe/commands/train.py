"""Train an experiment, or resume a run (run=FOLDER, resume=auto).

trompe train
trompe train experiment=dcgan_cifar10 data.path=cifar10.zip kimg=1000
trompe train run=outputs/<experiment>/<run>
"""

import os

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from trompe.command import command, quick_imports
from trompe.errors import show
from trompe.streams import visible

# Where one of these is set and not 0, another process of the run says what there is to say.
_RANKS = ("TROMPE_LOCAL_RANK", "RANK", "SLURM_PROCID")


@command("train", bare="run")
def main(cfg: DictConfig) -> None:
    """Compose the config and train."""
    if all(os.environ.get(rank, "0") == "0" for rank in _RANKS):
        print(visible(describe(cfg)), flush=True)  # before torch is loaded, which takes seconds
    with quick_imports():
        from trompe.tasks.train import train

    train(cfg)


def describe(cfg: DictConfig) -> str:
    """What is being prepared, in a line."""
    if cfg.get("run") is not None:
        return f"preparing run={cfg.run} ..."
    chosen = HydraConfig.get().runtime.choices
    parts = ", ".join(f"{group} {chosen[group]}" for group in ("model", "data") if group in chosen)
    return f"preparing {cfg.name}: {parts}, {show(cfg.kimg)} kimg ..."
