"""Every YAML composes and trains two batches."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

from tests.configs.training import make_method, random_batches, train_and_check
from trompe.command import config_dir
from trompe.data.image_data import Batch
from trompe.errors import UserError
from trompe.metrics.evaluation import Evaluation
from trompe.training.best import Best
from trompe.training.classes import check_conditional, with_classes
from trompe.training.config import resolve

CONF = Path(config_dir())
# Sets whose images are not on this machine.
NEEDS_IMAGES = {
    "folder",
    "content_style",
    "unpaired",
    "cifar10",
    "mnist",
    "fashion_mnist",
    "celeba",
}


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", [*overrides, "name=test"])


def small_data(name: str) -> list[str]:
    """What makes the data of a model or an experiment small, and complete."""
    if not name.startswith(("deep_image_prior", "restore_")):
        return ["data.resolution=32"]
    gaps = name in ("restore_inpaint", "restore_hole")
    size = 129 if name == "restore_hole" else 48
    return [f"data.size={size}", *(["data.degradation.share=0.5"] if gaps else [])]


def narrow(config: Any) -> None:
    """Make every network of a model that has a width a small one."""
    for value in config.values():
        if isinstance(value, DictConfig):
            narrow(value)
    if "width" in config and config.width > 8 and "MLP" not in config.get("_target_", ""):
        config.width = 8
    if isinstance(config.get("base"), int):
        config.base, config.max_width = 128, 16
    if "group_width" in config and isinstance(config.get("widths"), ListConfig):
        config.widths = [8]


@pytest.mark.parametrize("model", names("model"))
def test_model_trains(model: str, tmp_path: Path) -> None:
    cfg = composed(f"model={model}", *small_data(model))
    narrow(cfg.model)
    assert "g" in train_and_check(cfg, random_batches(cfg))


# Whose networks have no use for labels.
UNCONDITIONAL = {
    "mlp_gan",
    "cyclegan",
    "adversarial_style",
    "adain",
    "johnson",
    "ast",
    "deep_image_prior",
    "super_resolution",
}


@pytest.mark.parametrize("model", names("model"))
def test_model_trains_with_labels(model: str) -> None:
    cfg = composed(f"model={model}", *small_data(model), "conditional=true")
    narrow(cfg.model)
    if model in UNCONDITIONAL:
        with pytest.raises(UserError, match="takes no classes"):
            check_conditional(resolve(cfg))
        return
    check_conditional(resolve(cfg))
    session: Any = SimpleNamespace(config=resolve(cfg), resumed=False, parent=None)
    data: Any = SimpleNamespace(class_names=["a", "b", "c"], labels=None)
    filled = OmegaConf.create(with_classes(session, data))
    assert filled.model.classes == filled.model.generator.classes == 3
    batches = [b._replace(labels=torch.tensor([0, 1, 2, 1])) for b in random_batches(cfg)]
    train_and_check(filled, batches)


@pytest.mark.parametrize("data", names("data"))
def test_data_composes_and_feeds(data: str, tmp_path: Path) -> None:
    path = ["data.path=somewhere"] if data == "folder" else []
    cfg = composed(f"data={data}", f"paths.cache_dir={tmp_path}", "model=mlp_gan", *path)
    if data == "one_picture":
        feeds_one_picture(cfg)
        return
    assert cfg.data.resolution > 0 and cfg.data.channels in (1, 3)
    if data in NEEDS_IMAGES:
        return
    cfg.data.resolution = 16
    if "stride" in cfg.data:
        cfg.data.stride = 64  # thousands of patches take seconds to cut
    if "size" in cfg.data.get("style", {}):
        cfg.data.style.size = 10  # hundreds take half a minute to paint
    module = instantiate(cfg.data, _convert_="all")
    module.prepare_data()
    module.setup("fit")
    stream = module.stream(0, 4)
    batches = [stream.batch(position, slice(None)) for position in (0, 4)]
    for batch in batches:
        assert type(batch) is module.batch_type
        if data == "high_low":
            assert batch.low.shape == (4, cfg.data.channels, 4, 4)
            batch = batch._replace(low=batch.high)
        pictures = [part for part in batch if part.dim() == 4]
        assert pictures and all(p.shape == (4, cfg.data.channels, 16, 16) for p in pictures)
        assert all(part.shape == (4,) for part in batch if part.dim() != 4)
    shown = module.show(5)
    side = cfg.data.source_resolution if data == "high_low" else 16
    assert shown is None or shown.shape[1:] == (cfg.data.channels, side, side)
    if module.batch_type is Batch:
        train_and_check(cfg, batches)


def feeds_one_picture(cfg: DictConfig) -> None:
    """The same picture in every batch, and its sides for the model."""
    cfg.data.size = 16
    module = instantiate(cfg.data, _convert_="all")
    module.prepare_data()
    first, second = (module.stream(0, 1).batch(position, slice(None)) for position in (0, 1))
    assert type(first) is module.batch_type and all(map(torch.equal, first, second))
    height, width = module.decides["height"], module.decides["width"]
    assert first.degraded.shape == first.reference.shape == (1, 3, height, width)
    assert module.show(5).shape == (2, 3, height, width)


@pytest.mark.parametrize("experiment", names("experiment"))
def test_experiment_trains(experiment: str) -> None:
    path = [] if experiment.startswith("restore_") else ["++data.path=somewhere"]
    cfg = composed(f"experiment={experiment}", *small_data(experiment), *path)
    train_and_check(cfg, random_batches(cfg))
    metrics = instantiate(cfg.metrics, _convert_="all")
    Best(Evaluation(metrics, **cfg.evaluation).directions, **cfg.checkpoint)


@pytest.mark.parametrize("generator", names("style_generator"))
def test_style_generator_trains(generator: str) -> None:
    cfg = composed(
        "model=adversarial_style",
        f"style_generator@model.generator={generator}",
        "data.resolution=32",
    )
    narrow(cfg.model)
    train_and_check(cfg, random_batches(cfg))


LINE = "{_target_:trompe.engine.schedules.Linear,start:0,end:1,begin_kimg:0,end_kimg:10}"
SCHEDULED = {
    "dcgan": ["penalties.r1", "generator_penalties.mode_seeking"],
    "adversarial_style": ["weights.adversarial", "weights.content"],
}


@pytest.mark.parametrize("model", SCHEDULED)
def test_schedules_take_the_place_of_numbers(model: str) -> None:
    keys = ["generator_lr", "ema_half_life_kimg", *SCHEDULED[model]]
    lines = [f"+schedule@model.{key}=linear" for key in keys]
    ends = [f"model.{key}.{end}" for key in keys for end in ("start=0.01", "end=0.06")]
    betas = f"model.optimizer.betas=[{LINE},0.999]"
    cfg = composed(f"model={model}", *lines, *ends, betas, "data.resolution=32", "kimg=10")
    narrow(cfg.model)
    method = make_method(cfg, 4)
    method.training_step(random_batches(cfg)[0], 0)
    group = method.optimizers()[0].param_groups[0]
    assert group["lr"] == pytest.approx(0.03) and group["betas"] == pytest.approx([0.4, 0.999])
    train_and_check(cfg, random_batches(cfg))


@pytest.mark.parametrize("group", ["trainer", "logger", "metrics", "debug"])
def test_groups_compose(group: str) -> None:
    for name in names(group):
        value = f"[{name}]" if group in ("logger", "metrics") else name
        composed(f"{group}={value}", "data=shapes")


@pytest.mark.parametrize(
    "path", sorted((CONF / "sweep").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_sweep_composes_with_its_trials(path: Path) -> None:
    from trompe.sweeps.space import parse_space

    experiment = "style_arbitrary" if path.stem.startswith("style") else "dcgan_demo"
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("sweep", [f"sweep={path.stem}"])
        for overrides in parse_space([f"experiment={experiment}", *config.space]).examples():
            compose("train", overrides)
