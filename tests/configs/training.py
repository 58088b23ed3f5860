"""Trains a method without a Trainer, on batches of the kind that its data give."""

import math
from typing import Any

import torch
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig
from torch import Tensor

from trompe.data.high_low import HighLow
from trompe.data.one_picture import Observation
from trompe.engine.clock import Clock
from trompe.engine.ema import Averaged
from trompe.engine.randomness import drawing

_MOST_BATCHES = 20  # until every optimizer has had its turn


def make_method(cfg: DictConfig, batch_size: int) -> Any:
    """With optimizers of its own, two fifths through its budget: warm-ups are over then."""
    clock = Clock(cfg.kimg, cfg.tick_kimg, batch_size)
    clock.images = int(0.4 * cfg.kimg * 1000) // batch_size * batch_size
    method = instantiate(cfg.model, clock=clock, seed=0, _convert_="all")
    found = method.configure_optimizers()
    optimizers = found if isinstance(found, list) else [found]
    method.optimizers = lambda: optimizers
    method.manual_backward = lambda loss: loss.backward()
    return method


def train_and_check(cfg: DictConfig, batches: list[Any]) -> set[str]:
    """Every weight of every optimizer has to move, and averages to follow.

    Returns the names of the optimizers that stepped by themselves; the others are told to.
    """
    size = len(batches[0][0])
    method = make_method(cfg, size)
    optimizers = dict(zip(method.optimizer_names, method.optimizers(), strict=True))
    names = {id(p): n for n, p in method.named_parameters()}
    before = {n: p.detach().clone() for n, p in method.named_parameters()}
    moved = set[str]()

    def look() -> None:
        """A number that steps forth and back has moved, though it ends where it began."""
        moved.update(n for n, p in method.named_parameters() if not torch.equal(p, before[n]))

    began, stepped, done = method.clock.images, set[str](), 0
    while done < 2 or (stepped < set(optimizers) and done < _MOST_BATCHES):
        stepped |= set(method.phase().split("+")) & set(optimizers)
        method.training_step(batches[done % len(batches)], 0)
        done += 1
        look()
    assert method.clock.images == began + done * size
    for name in optimizers.keys() - stepped:
        draws = method.draws(name)
        with drawing(draws):
            method.update(name, batches[0], draws)
        look()
    read = method.means.read()
    assert read.bad_images is None and all(map(math.isfinite, read.means.values()))
    for name in optimizers:
        groups = optimizers[name].param_groups
        own = {names[id(p)] for group in groups for p in group["params"]}
        # A loss of differences leaves the last bias, one number, exactly where it is.
        still = {n for n in own - moved if not is_cancelled(method.get_parameter(n))}
        assert not still, f"{name} leaves {sorted(still)}"
    for name, module in method.named_modules():
        if isinstance(module, Averaged):
            parts = {f"{name}.network.{n}" for n, _ in module.network.named_parameters()}
            assert parts <= moved, f"{name} does not follow"
    trainable = {n for n, p in method.named_parameters() if p.requires_grad}
    assert trainable <= {names[id(p)] for o in optimizers.values() for p in params(o)}
    return stepped


def is_cancelled(parameter: Tensor) -> bool:
    return parameter.numel() == 1 and parameter.grad is not None and not parameter.grad.any()


def params(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def random_batches(cfg: DictConfig, size: int = 4) -> list[Any]:
    """As the data give them: images in each field but labels and numbers; or one picture."""
    kind: Any = get_class(cfg.data._target_).batch_type
    if kind is Observation:
        data = instantiate(cfg.data, _convert_="all")
        stream = data.stream(0, 1)
        cfg.model.update(data.decides)
        return [stream.batch(position, slice(None)) for position in (0, 1)]
    generator = torch.Generator().manual_seed(0)
    shape = (size, cfg.data.channels, cfg.data.resolution, cfg.data.resolution)

    def field(name: str) -> Tensor:
        if name.endswith(("labels", "index")):
            return torch.zeros(size, dtype=torch.long)
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)

    if kind is HighLow:
        data = instantiate(cfg.data, _convert_="all")
        return [data.small(field("high")) for _ in range(2)]
    return [kind(*map(field, kind._fields)) for _ in range(2)]
