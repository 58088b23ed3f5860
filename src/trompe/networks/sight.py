"""Pictures as a fixed network sees them."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from trompe.networks.perceptual_network import PerceptualNetwork

# Mirrored pixels around an image, for the zeros that the network pads with. They are cut off again,
# which larger strides do not allow.
_FRAME = 8


class Sight:
    """The features of a network's content layers.

    Args:
        network: is not trained, and in no checkpoint: its weights come with its package.

    Attributes:
        network: the same; another with the same weights may take its place.
        channels: of each layer.
        strides: of each layer, in pixels.
    """

    def __init__(self, network: PerceptualNetwork) -> None:
        self.network = network
        side = 64
        with torch.no_grad():
            maps = network(torch.zeros(1, 3, side, side), network.content_layers)
        self.channels = [features.shape[1] for features in maps.values()]
        self.strides = [side // features.shape[2] for features in maps.values()]

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Of images (N, 3, H, W) in [-1, 1], H and W at least 16, each (N, C, H', W'), float32.

        H' and W' are H and W divided by the layer's stride, rounded up.
        """
        # Nothing is moved that is there already: a traced network may not be touched.
        if next(self.network.parameters()).device != images.device:
            self.network.to(images.device)
        frame = _FRAME if max(self.strides, default=0) <= _FRAME else 0
        with torch.autocast(images.device.type, enabled=False):
            framed = pad(images.float(), (frame,) * 4, mode="reflect")
            maps = self.network(framed, self.network.content_layers)
        edges = [frame // stride for stride in self.strides]
        return [
            features[..., edge:-edge, edge:-edge] if edge else features
            for features, edge in zip(maps.values(), edges, strict=True)
        ]
