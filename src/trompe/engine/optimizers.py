"""Optimizers whose settings may follow schedules, with gradients clipped."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from trompe.engine.clock import Clock
from trompe.engine.schedules import check_number, values_at, varies
from trompe.errors import check_positive


def make_optimizer(
    make: Callable[..., Optimizer],
    parameters: Iterable[nn.Parameter],
    clock: Clock,
    clip_norm: float | None = None,
    steps_per_batch: float = 1.0,
    **settings: Any,
) -> Optimizer:
    """An optimizer that follows schedules and clips gradients right before each step.

    By then gradients are averaged over processes, so all processes clip alike.

    Args:
        make: the optimizer's class, or a `functools.partial` of it with settings.
        parameters: to be optimized.
        clock: the image clock, which schedules follow.
        clip_norm: largest norm of all gradients together (Pascanu et al. 2013, Algorithm 1); None
            leaves them as they are.
        steps_per_batch: mean number of steps. Where lazy penalties add some, the learning rate is
            divided by it and each beta takes its root, so that over as many images they do the same
            (Karras et al. 2020, StyleGAN2, appendix B).
        settings: more of them, such as `lr`; numbers, schedules, or lists of these.

    Raises:
        UserError: if `clip_norm` is not above 0, or the learning rate is none.
    """
    if clip_norm is not None:
        check_positive("model.gradient_clip_norm", clip_norm)
    if "lr" in settings:
        check_number("model.optimizer: lr", settings["lr"])
    known = make.keywords if isinstance(make, partial) else {}
    settings = {**known, **settings}
    scheduled = {name: value for name, value in settings.items() if varies(value)}
    optimizer = make(parameters, **_as_floats(values_at(settings, clock.kimg)))
    for group in optimizer.param_groups:
        group.update(_paced(group, steps_per_batch))

    def prepare(optimizer: Optimizer, *_: Any) -> None:
        for group in optimizer.param_groups:
            now = _as_floats(values_at(scheduled, clock.kimg))
            group.update({**now, **_paced(now, steps_per_batch)})
        if clip_norm is not None:
            everything = (p for group in optimizer.param_groups for p in group["params"])
            clip_grad_norm_(everything, clip_norm)

    if scheduled or clip_norm is not None:
        optimizer.register_step_pre_hook(prepare)
    return optimizer


def _paced(settings: dict[str, Any], steps_per_batch: float) -> dict[str, Any]:
    """Learning rate and betas, where they are set, for so many steps in a batch."""
    paced: dict[str, Any] = {}
    if steps_per_batch != 1 and "lr" in settings:
        paced["lr"] = settings["lr"] / steps_per_batch
    if steps_per_batch != 1 and "betas" in settings:
        paced["betas"] = [beta ** (1 / steps_per_batch) for beta in settings["betas"]]
    return paced


def _as_floats(settings: dict[str, Any]) -> dict[str, Any]:
    """With lists of numbers, such as Adam's betas, as floats: torch refuses 0 beside 0.9."""
    return {
        name: [float(v) for v in value] if isinstance(value, list) else value
        for name, value in settings.items()
    }
