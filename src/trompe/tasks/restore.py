"""The restore task: one picture, restored by an experiment of its own."""

import shutil
from pathlib import Path

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from trompe.errors import UserError, check_count, show
from trompe.files import whole_path
from trompe.paths import expand
from trompe.stylizers.picture_files import check_inputs
from trompe.tasks.enlarge import enlarge
from trompe.tasks.train import train
from trompe.words import quoted

TASKS = ("denoise", "jpeg", "upscale", "inpaint", "hole")
# Keys that mean something to some tasks only, and what they are where nobody has set them.
_OF_SOME = {
    "mask": (None, ("inpaint", "hole")),
    "factor": (None, ("upscale",)),
    "kernel": (None, ("upscale",)),
    "run": (None, ("upscale",)),
}
# Which of them mean something to a trained run alone, and which nothing.
_OF_RUNS = {"tile": None, "checkpoint": "last", "trust": False}
_NOT_OF_RUNS = ("kernel", "network", "iterations", "size")
_TICK_KIMG = 0.05  # as the experiments


def restore(cfg: DictConfig) -> Path:
    """Restore `cfg.picture`, by a run of its own or a trained one; returns it, in `cfg.out`.

    If a run of its own with the same words was interrupted, it is resumed.

    Raises:
        UserError: for a wrong value, or if the picture is there and `overwrite` is false.
    """
    check_values(cfg)
    target = expand(cfg.out, "out") / f"{Path(str(cfg.picture)).stem}.png"
    if target.exists() and not cfg.overwrite:
        raise UserError(f"{target} already exists: set overwrite=true or another out=")
    check_inputs([target], [expand(cfg.picture, "picture")])
    if cfg.run is None:
        run = train(experiment(words(cfg)))
        with whole_path(target) as temporary:
            shutil.copyfile(run.path / "restored.png", temporary)
    else:
        enlarge(cfg, target)
    print(f"{target}")
    return target


def check_values(cfg: DictConfig) -> None:
    """Refuse what cannot be asked for.

    Raises:
        UserError: naming the key.
    """
    if cfg.task not in TASKS:
        raise UserError(f"task={show(cfg.task)} must be one of {', '.join(TASKS)}")
    for key, (default, tasks) in _OF_SOME.items():
        if cfg[key] != default and cfg.task not in tasks:
            raise UserError(
                f"{key}={show(cfg[key])} means nothing to task={cfg.task}: leave it out"
            )
    if cfg.mask is None and cfg.task in _OF_SOME["mask"][1]:
        raise UserError(
            f"task={cfg.task} needs mask=, a picture of the same size, white where something is "
            "missing"
        )
    if cfg.iterations is not None:
        check_count("iterations", cfg.iterations)
    check_run(cfg)


def check_run(cfg: DictConfig) -> None:
    """Refuse what only a trained run takes, without one, and what it does not take.

    Raises:
        UserError: naming the key.
    """
    if cfg.run is None:
        for key, default in _OF_RUNS.items():
            if cfg[key] != default:
                raise UserError(f"{key}={show(cfg[key])} is for a trained run: give run=")
        return
    for key in _NOT_OF_RUNS:
        if cfg[key] is not None:
            raise UserError(f"{key}={show(cfg[key])} means nothing to a trained run: leave it out")


def words(cfg: DictConfig) -> list[str]:
    """The overrides of `trompe train` that restore the picture."""
    texts = {
        "data.picture": cfg.picture,
        "data.reference": cfg.reference,
        "data.degradation.mask": cfg.mask,
        "data.degradation.kernel": cfg.kernel,
        "paths.output_dir": cfg.paths.output_dir,
    }
    values = {
        "experiment": f"restore_{cfg.task}",
        "hourglass@model.network": cfg.network,
        "data.degradation.factor": cfg.factor,
        "data.size": cfg.size,
        "data.channels": cfg.channels,
        "model.memory_gib": cfg.memory_gib,
        "seed": cfg.seed,
    }
    values |= {key: quoted(str(text)) for key, text in texts.items() if text is not None}
    if cfg.iterations is not None:
        kimg = cfg.iterations / 1000
        values |= {"kimg": kimg, "tick_kimg": min(kimg, _TICK_KIMG)}
    found = [f"{key}={value}" for key, value in values.items() if value is not None]
    return [*found, "data.degrade=false", "resume=auto"]


def experiment(overrides: list[str]) -> DictConfig:
    """The config of an experiment, as if `trompe train` had composed it from these words."""
    cfg = compose("train", overrides, return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg
