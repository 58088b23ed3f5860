"""Run folders of earlier versions, read as if this version had written them."""

import copy
from typing import Any

# Where things were before 2026-11-25.
_MOVED = {
    "trompe.data.folder.": "trompe.data.picture_folder.",
    "trompe.data.painting.colour.": "trompe.data.painting.color.",
    "trompe.networks.patches.": "trompe.networks.patch_discriminator.",
    "trompe.networks.perceptual.": "trompe.networks.perceptual_network.",
    "trompe.networks.ast.": "trompe.networks.style_autoencoder.",
    "trompe.metrics.comparison.": "trompe.metrics.feature_comparison.",
}


def upgrade_config(config: dict[str, Any]) -> dict[str, Any]:
    """A run's config, its parts named as today, with the values they had then."""
    upgraded: dict[str, Any] = copy.deepcopy(config)
    weights = config.get("model", {}).get("weights", {})
    if "gram" in weights:
        upgraded["model"]["weights"].setdefault("moments", 0)
        if str(config["model"].get("_target_")).endswith("AdversarialStyle"):
            upgraded["model"]["weights"].setdefault("transported", 0)
            generator = upgraded["model"].get("generator", {})
            if str(generator.get("_target_")).endswith("PaletteTransformer"):
                generator.setdefault("encoder", config["model"].get("perceptual"))
    if "callbacks" not in config or "evaluation" not in config["callbacks"]:
        return upgraded
    upgraded = _moved(upgraded)
    model = upgraded["model"]
    if "discriminator_steps" in model:
        model.setdefault("generator_penalties", {})
        model.setdefault("penalty_every", {})
    return upgraded


def upgrade_checkpoint(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint whose averaged generator is named as today."""
    state = checkpoint["state_dict"]
    if any(name.endswith("_ema._extra_state") for name in state):
        return checkpoint
    averages = {name.split(".")[0] for name in state if name.split(".")[0].endswith("_ema")}
    renamed = {}
    for name, value in state.items():
        first, _, rest = name.partition(".")
        renamed[f"{first}.network.{rest}" if first in averages else name] = value
    for name in averages:
        renamed[f"{name}._extra_state"] = _images(checkpoint)
    return {**checkpoint, "state_dict": renamed}


def _images(checkpoint: dict[str, Any]) -> Any:
    import torch

    return torch.tensor(checkpoint["clock"]["images"])


def _moved(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _moved(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_moved(entry) for entry in value]
    if isinstance(value, str):
        for old, new in _MOVED.items():
            if value.startswith(old):
                return new + value.removeprefix(old)
    return value
