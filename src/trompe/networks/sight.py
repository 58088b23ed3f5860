"""Pictures as a fixed network sees them."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from trompe.networks.perceptual_network import PerceptualNetwork

_FRAME = 8  # mirrored pixels around an image, for the zeros that the network pads with


class Sight:
    """The features of an encoder's content layers.

    Args:
        encoder: the network; it is not trained, and in no checkpoint: its weights come with its
            package.

    Attributes:
        channels: of each layer.
        strides: of each layer, in pixels.
    """

    def __init__(self, encoder: PerceptualNetwork) -> None:
        self._encoder = encoder
        side = 64
        with torch.no_grad():
            maps = encoder(torch.zeros(1, 3, side, side), encoder.content_layers)
        self.layers = tuple(maps)
        self.channels = [features.shape[1] for features in maps.values()]
        self.strides = [side // features.shape[2] for features in maps.values()]

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Features (N, C, H / stride, W / stride) of images (N, 3, H, W) in [-1, 1], float32."""
        if next(self._encoder.parameters()).device != images.device:
            self._encoder.to(images.device)
        with torch.autocast(images.device.type, enabled=False):
            framed = pad(images.float(), (_FRAME,) * 4, mode="reflect")
            maps = self._encoder(framed, self.layers)
        edges = [_FRAME // stride for stride in self.strides]
        return [
            features[..., edge:-edge, edge:-edge] if edge else features
            for features, edge in zip(maps.values(), edges, strict=True)
        ]
