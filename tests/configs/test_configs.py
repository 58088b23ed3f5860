"""Every YAML composes and trains two batches."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig

from trompe.command import config_dir
from trompe.data.image_data import Batch
from trompe.engine.clock import Clock

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


def train_two_batches(cfg: DictConfig, batches: list[Any]) -> None:
    clock = Clock(1, 1, len(batches[0][0]))
    if "warmup_kimg" in cfg.model:
        cfg.model.warmup_kimg = 0
    method = instantiate(cfg.model, clock=clock, seed=0, _convert_="all")
    before = {k: v.clone() for k, v in method.state_dict().items()}
    optimizers = method.configure_optimizers()
    method.optimizers = lambda: optimizers
    method.manual_backward = lambda loss: loss.backward()
    method.generator_turns = 0
    for i, batch in enumerate(batches):
        if "success" in before:
            method.success.fill_(i)  # one turn of the discriminator, one of the generator
        method.training_step(batch, 0)
    method.end_tick()
    assert clock.images == sum(len(batch[0]) for batch in batches)
    assert method.bad_images is None
    assert all(math.isfinite(v) for v in method.scalars.values())
    moved = {
        k.split(".")[0] for k, v in method.state_dict().items() if not torch.equal(v, before[k])
    }
    weights = cfg.model.get("weights", {})
    has_adversary = "discriminator" in cfg.model and weights.get("adversarial", 1) > 0
    assert ("discriminator" in moved) == has_adversary
    if getattr(method, "discriminator_steps", 1) <= len(batches):
        assert {"generator", "generator_ema"} <= moved


def random_batches(cfg: DictConfig, size: int = 4) -> list[Any]:
    """Of the kind that the data give: images, one or two of them a row, and one number."""
    side = cfg.data.resolution
    shape = (size, cfg.data.channels, side, side)
    kind: Any = get_class(cfg.data._target_).batch_type
    generator = torch.Generator().manual_seed(0)

    def images() -> torch.Tensor:
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)

    numbers = torch.zeros(size, dtype=torch.long)
    return [kind(*(images() for _ in kind._fields[1:]), numbers) for _ in range(2)]


@pytest.mark.parametrize("model", names("model"))
def test_model_trains(model: str, tmp_path: Path) -> None:
    cfg = composed(f"model={model}", "data.resolution=32")
    if model != "mlp_gan":
        for part in {"generator", "discriminator"} & set(cfg.model):
            cfg.model[part].width = 8
    train_two_batches(cfg, random_batches(cfg))


@pytest.mark.parametrize("data", names("data"))
def test_data_composes_and_feeds(data: str, tmp_path: Path) -> None:
    path = ["data.path=somewhere"] if data == "folder" else []
    cfg = composed(f"data={data}", f"paths.cache_dir={tmp_path}", "model=mlp_gan", *path)
    assert cfg.data.resolution > 0 and cfg.data.channels in (1, 3)
    if data in NEEDS_IMAGES:
        return
    cfg.data.resolution = 16
    for_gans = get_class(cfg.data._target_).batch_type is Batch
    if data == "maps":
        cfg.data.stride = 64  # thousands of patches take seconds to cut
    elif not for_gans:
        cfg.data.style.size = 10  # hundreds take half a minute to paint
    module = instantiate(cfg.data, _convert_="all")
    module.prepare_data()
    module.setup("fit")
    if not for_gans:
        shapes = [tuple(part.shape) for part in module.stream(0, 4).batch(0, slice(None))]
        assert shapes[:2] == [(4, 3, 16, 16), (4, 3, 16, 16)] and shapes[2:] in ([], [(4,)])
        return
    batches = [module.gather("train", torch.arange(i, i + 4)) for i in (0, 4)]
    assert batches[0].images.shape == (4, cfg.data.channels, 16, 16)
    train_two_batches(cfg, batches)


@pytest.mark.parametrize("experiment", names("experiment"))
def test_experiment_trains(experiment: str) -> None:
    cfg = composed(f"experiment={experiment}", "data.resolution=32", "++data.path=somewhere")
    train_two_batches(cfg, random_batches(cfg))
    assert cfg.checkpoint.monitor in ("auto", *cfg.metrics)


@pytest.mark.parametrize("generator", names("style_generator"))
def test_style_generator_trains(generator: str) -> None:
    cfg = composed(
        "model=adversarial_style",
        f"style_generator@model.generator={generator}",
        "data.resolution=32",
    )
    cfg.model.discriminator.width = 8
    train_two_batches(cfg, random_batches(cfg))


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
