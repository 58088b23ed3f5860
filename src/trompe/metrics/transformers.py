"""Vision transformers of timm as feature networks: DINOv2, CLIP and whatever timm has."""

from typing import Any

import torch
from torch import Tensor

from trompe.metrics.features import FeatureNetwork
from trompe.metrics.resizing import DEFAULT
from trompe.weights import find_file, missing_weights, open_weights


class TimmFeatures(FeatureNetwork):
    """What a network of timm makes of an image, float32: the class token or the projected one.

    Args:
        name: names the metrics that use it.
        architecture: timm's name of network and weights, e.g. ``vit_base_patch32_clip_224.openai``.
        weights: file of weights (``.safetensors`` or ``.pth``); None takes them from the hub's
            cache or downloads them.
        input_size: side in pixels to which images are resized.
        resizing: the filter, see `FeatureNetwork`.

    Raises:
        UserError: if the weights are unavailable, with the ways to supply them, or do not fit.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        architecture: str,
        weights: str | None = None,
        input_size: int = 224,
        resizing: str = DEFAULT,
    ) -> None:
        network = _pretrained(architecture, weights, input_size)
        dim = network.num_classes or network.num_features
        super().__init__(name, dim, input_size, resizing, architecture)
        self.network = network
        for key in ("mean", "std"):
            value = torch.tensor(network.pretrained_cfg[key]).view(1, 3, 1, 1) * 255
            self.register_buffer(key, value, persistent=True)
        self.freeze()

    def extract(self, pixels: Tensor) -> Tensor:
        """By the mean and deviation of the network's own training set."""
        features: Tensor = self.network((pixels - self.mean) / self.std)
        return features


def _pretrained(architecture: str, weights: str | None, input_size: int) -> Any:
    import timm

    options: dict[str, Any] = {"img_size": input_size}
    if weights is not None:
        path = find_file(weights, "")
        with open_weights(path):
            overlay = {"file": path}
            return timm.create_model(
                architecture, pretrained=True, pretrained_cfg_overlay=overlay, **options
            )
    try:
        return timm.create_model(architecture, pretrained=True, **options)
    except Exception as error:  # of whatever the hub's client is built on
        cache = "put them in the hub's cache (HF_HOME)"
        raise missing_weights(architecture, cache, "https://huggingface.co", error) from error
