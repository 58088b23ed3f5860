"""What a sweep may look for: checked, with its direction, before the first trial."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra import compose
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

from trompe.errors import UserError, show
from trompe.sweeps.space import Space
from trompe.sweeps.trial import Direction, Objective

_DIRECTIONS: Mapping[str, Direction] = {"lower": "minimize", "higher": "maximize"}
_GIVEN: Mapping[str, Direction | None] = {
    "minimize": "minimize",
    "maximize": "maximize",
    "min": "minimize",  # as checkpoint.mode has it
    "max": "maximize",
    "auto": None,
}
# What every tick records besides metrics; a method may track more, under names with a slash.
_SPEEDS: Mapping[str, Direction] = {
    "speed/images_per_second": "maximize",
    "speed/train_seconds": "minimize",
    "speed/tick_seconds": "minimize",
}
_FALLING = ("loss/", "penalty/")
_RISING = ("psnr/",)


def choose_objective(cfg: DictConfig, space: Space) -> Objective:
    """The objective of a new sweep; a direction that is `auto` follows from what is measured.

    Raises:
        UserError: if no trial would record it, with a list of what it can be; if its direction
            cannot be inferred; and for wrong values.
    """
    names = _texts("objective", cfg.objective)
    if len(set(names)) < len(names):
        raise UserError(f"objective={show(names)} has the same value twice")
    if cfg.value not in ("best", "last"):
        raise UserError(f"value={cfg.value} is neither best nor last")
    given = _directions(cfg, len(names))
    if cfg.launcher.get("command"):  # a command of the person's own records what it likes
        return Objective(names, [d or "minimize" for d in given], cfg.value)
    configs = list(_compositions(space))
    metrics = _tracked(configs)
    is_ours = all(_is_ours(config) for config in configs)
    for name in names:
        if name not in metrics and name not in _SPEEDS and is_ours and "/" not in name:
            raise UserError(_choices(name, configs, metrics))
    directions = [
        direction or _infer(name, metrics) for name, direction in zip(names, given, strict=True)
    ]
    return Objective(names, directions, cfg.value)


def _directions(cfg: DictConfig, count: int) -> list[Direction | None]:
    """The directions as they are given, None for `auto`."""
    if cfg.direction == "auto":
        return [None] * count
    given = _texts("direction", cfg.direction)
    if len(given) != count:
        raise UserError(f"objective={cfg.objective} needs one direction for each, not {given}")
    for direction in given:
        if direction not in _GIVEN:
            raise UserError(f"direction={direction} is neither minimize, maximize nor auto")
    return [_GIVEN[direction] for direction in given]


def _texts(key: str, value: Any) -> list[str]:
    """A word, or a list of them.

    Raises:
        UserError: for anything else, and for none.
    """
    words = list(value) if isinstance(value, ListConfig) else [value]
    if not words or not all(isinstance(word, str) and word for word in words):
        shown = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
        raise UserError(f"{key}={show(shown)} must be a name, or a list of names")
    return words


def _infer(name: str, metrics: Mapping[str, str]) -> Direction:
    if name in metrics:
        return _DIRECTIONS[metrics[name]]
    if name in _SPEEDS:
        return _SPEEDS[name]
    if name.startswith(_FALLING):
        return "minimize"
    if name.startswith(_RISING):
        return "maximize"
    raise UserError(
        f"objective={name}: which is better is not known: add direction=minimize or maximize"
    )


def _compositions(space: Space) -> Iterator[dict[str, Any]]:
    for overrides in space.examples():
        config = OmegaConf.to_container(compose("train", overrides), resolve=True)
        assert isinstance(config, dict)
        yield config  # type: ignore[misc]


def _tracked(configs: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Which is better, ``"lower"`` or ``"higher"``, of each metric that every trial tracks.

    Raises:
        UserError: if a metric cannot be made.
    """
    found: dict[str, str] | None = None
    for text in dict.fromkeys(json.dumps(config["metrics"]) for config in configs):
        better: dict[str, str] = {}
        for metric in instantiate(json.loads(text) or {}, _convert_="all").values():
            if metric is None:  # left out
                continue
            better |= metric.directions()
        found = better if found is None else {k: v for k, v in found.items() if k in better}
    return found or {}


def _is_ours(config: dict[str, Any]) -> bool:
    """Whether all that records values comes with trompe, so that their names are known."""
    parts = [config["model"], *(config.get("callbacks") or {}).values()]
    return all(str(part.get("_target_", "")).startswith("trompe.") for part in parts)


def _choices(name: str, configs: Sequence[dict[str, Any]], metrics: Mapping[str, str]) -> str:
    tracked = dict.fromkeys(key for config in configs for key in config["metrics"] or {})
    known = ", ".join([*metrics, *_SPEEDS])
    return (
        f"objective={name} would never be recorded: with metrics=[{','.join(tracked)}] it can be "
        f"{known}, or what the method tracks, such as loss/generator"
    )
