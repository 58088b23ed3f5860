"""Inception-v3 as FID and the Inception Score take it, with the weights of torch-fidelity."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from trompe.extras import require
from trompe.metrics.features import FeatureNetwork
from trompe.metrics.resizing import DEFAULT
from trompe.metrics.score import Score
from trompe.weights import find_file, open_weights

# The weights of Heusel et al. 2017, converted from TensorFlow by the authors of torch-fidelity.
_URL = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth"
)
_LAYERS = (
    *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "MaxPool_1"),
    *("Conv2d_3b_1x1", "Conv2d_4a_3x3", "MaxPool_2"),
    *("Mixed_5b", "Mixed_5c", "Mixed_5d"),
    *("Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    *("Mixed_7a", "Mixed_7b", "Mixed_7c", "AvgPool"),
)


class InceptionV3(FeatureNetwork):
    """The 2048 pooled features of Heusel et al. 2017 (FID), float32.

    Args:
        weights: file of torch-fidelity's weights; None takes them from torch's cache, where
            torch-fidelity puts them too, or downloads them (91 MB).
        resizing: the filter. ``bicubic-antialias`` is clean-fid's, ``bilinear-tensorflow1`` that
            of the original code and of torch-fidelity; FIDs with different ones differ.

    Raises:
        UserError: if torch-fidelity is not installed; if the weights are unavailable, with the
            ways to supply them, or are the wrong ones.
    """

    customary = {  # noqa: RUF012
        "fd": "fid",
        "fd_infinity": "fid_infinity",
        "kd": "kid",
        "inception_score": "inception_score",
    }

    def __init__(self, weights: str | None = None, resizing: str = DEFAULT) -> None:
        super().__init__("inception", 2048, 299, resizing, "pool3")
        require("torch_fidelity", "features=inception")  # before anything is downloaded
        network = _inception(find_file(weights, _URL))
        self.layers: Callable[[Tensor], Tensor] = nn.Sequential(
            *(getattr(network, name) for name in _LAYERS), nn.Flatten()
        )
        # Without the bias, as the original code of the Inception Score has it.
        self.classifier = network.fc.weight.detach()
        self.to(memory_format=torch.channels_last)
        self.freeze()

    def extract(self, pixels: Tensor) -> Tensor:
        """By the scaling of the original graph."""
        return self.layers((pixels - 128) / 128)


def inception_score(logits: Tensor, splits: int = 10) -> Score:
    """Inception Score from logits (N, classes), in float64: 1 at worst, the classes at best.

    Salimans et al. 2016, https://arxiv.org/abs/1606.03498, sec. 4: exp E KL(p(y|x) || p(y)); the
    mean over `splits` equal parts, as in their code. The standard error is that of this mean.

    Raises:
        ValueError: if there are fewer images than parts.
    """
    if len(logits) < splits:
        raise ValueError(f"an Inception Score needs at least {splits} images, not {len(logits)}")
    log_p = logits.double().log_softmax(1)
    edges = [i * len(log_p) // splits for i in range(splits + 1)]
    parts = [log_p[a:b] for a, b in pairwise(edges)]
    scores = torch.stack([_score(part) for part in parts])
    return Score(float(scores.mean()), float(scores.std(correction=0) / splits**0.5))


def _score(log_p: Tensor) -> Tensor:
    p = log_p.exp()
    return (p * (log_p - p.mean(0).log())).sum(1).mean().exp()


def _inception(path: str) -> Any:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    with open_weights(path):
        # Refuses a file that holds more than tensors; torch-fidelity itself would run it.
        torch.load(path, map_location="cpu", weights_only=True)
        return FeatureExtractorInceptionV3("inception", ["2048"], path)
