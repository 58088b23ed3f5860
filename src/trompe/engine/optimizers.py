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

    def prepare(optimizer: Optimizer, *_: Any) -> None:
        for group in optimizer.param_groups:
            group.update(_as_floats(values_at(scheduled, clock.kimg)))
        if clip_norm is not None:
            everything = (p for group in optimizer.param_groups for p in group["params"])
            clip_grad_norm_(everything, clip_norm)

    if scheduled or clip_norm is not None:
        optimizer.register_step_pre_hook(prepare)
    return optimizer


def _as_floats(settings: dict[str, Any]) -> dict[str, Any]:
    """With lists of numbers, such as Adam's betas, as floats: torch refuses 0 beside 0.9."""
    return {
        name: [float(v) for v in value] if isinstance(value, list) else value
        for name, value in settings.items()
    }
