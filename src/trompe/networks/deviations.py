"""Standard deviations of EfficientNet-Lite0's channels over photographs, stored with the code.

They put the channels of a layer on one scale, and are a property of the network, not of the data at
hand. ``python -m trompe.networks.deviations`` writes the file again.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import skimage
import torch
from PIL import Image
from torch import Tensor

from trompe.networks.pretrained import EfficientNetLite0Layers

FILE = Path(__file__).with_name("efflite0_deviations.npz")
# In scikit-image's package, as PNG, which all decoders read alike: people, animals, things, and
# three textures.
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "motorcycle_left", "brick", "grass", "gravel")


def load_deviations(layers: Iterable[str]) -> dict[str, Tensor]:
    """The stored standard deviation (C,) of each channel of each of `layers`, float32."""
    with np.load(FILE, allow_pickle=False) as stored:
        return {layer: torch.from_numpy(stored[layer]) for layer in layers}


@torch.no_grad()
def measure_deviations(layers: Iterable[str]) -> dict[str, Tensor]:
    """What `load_deviations` gives, computed: over all positions of all photographs, full size."""
    moments = {layer: torch.zeros(3, 1, dtype=torch.float64) for layer in layers}
    names = EfficientNetLite0Layers.NAMES
    network = EfficientNetLite0Layers(max(moments, key=names.index)).eval()
    for photograph in PHOTOGRAPHS:
        for layer, features in network.walk(_load(photograph)):
            if layer in moments:
                flat = features[0].flatten(1).double()
                count = torch.full((len(flat),), flat.shape[1], dtype=torch.float64)
                sums = torch.stack([count, flat.sum(1), flat.square().sum(1)])
                moments[layer] = moments[layer] + sums
    return {layer: _deviation(*sums) for layer, sums in moments.items()}


def _deviation(count: Tensor, total: Tensor, squares: Tensor) -> Tensor:
    return (squares / count - (total / count).square()).clamp_min(0).sqrt().float()


def _load(photograph: str) -> Tensor:
    with Image.open(Path(skimage.__file__).parent / "data" / f"{photograph}.png") as picture:
        pixels = torch.from_numpy(np.array(picture.convert("RGB")))
    return pixels.permute(2, 0, 1)[None].float() / 127.5 - 1


def _write() -> None:
    measured = measure_deviations(EfficientNetLite0Layers.NAMES)
    arrays: dict[str, Any] = {layer: deviation.numpy() for layer, deviation in measured.items()}
    np.savez(FILE, **arrays)


if __name__ == "__main__":
    _write()
