"""What style-transfer methods share: pairs in, pictures out, and losses in a network's features."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from trompe.data.content_style import StyleBatch
from trompe.engine.randomness import keyed_generator
from trompe.engine.schedules import Number
from trompe.errors import UserError
from trompe.images import to_signed, to_uint8
from trompe.losses.perceptual import (
    ChannelStatistics,
    channel_moments,
    channel_statistics,
    content_loss,
    gram_matrix,
    moments_distance,
    relative_gram_distance,
    statistics_distance,
    transported_loss,
)
from trompe.losses.transport import Gaussian, gaussian_of, pack
from trompe.methods.capabilities import Generates, Images, on
from trompe.methods.method import Method
from trompe.methods.style_rendering import RendersStyle
from trompe.networks.palette import PALETTE_DIM, palette_of
from trompe.networks.perceptual_network import PerceptualNetwork
from trompe.networks.sight import Sight

_OF_CONTENT, _OF_STYLE = ("content", "transported"), ("gram", "moments", "statistics")
# Images are shifted by at most this many pixels before they are compared: the stride of b8e is 16.
_SHIFT = 8


class StyleInputs(NamedTuple):
    """Content and style images, uint8 (N, 3, R, R)."""

    content: Tensor
    style: Tensor


class StyleTransfer(Method, Generates, RendersStyle):
    """Base of the methods that combine the content of one picture with the style of another.

    A subclass derives the parameters of its generator from the style's picture in `parameters_of`.
    """

    batch_type = StyleBatch
    inputs_type = StyleInputs

    def draw_inputs(self, data: Any, count: int, purpose: str) -> StyleInputs:
        """Held-out pairs of content and style."""
        contents, styles = data.contents("validation", count), self.draw_styles(data, count)
        order = torch.randperm(count, generator=keyed_generator(self.seed, purpose))
        return StyleInputs(contents, styles[order])

    def draw_styles(self, data: Any, count: int) -> Tensor:
        """Style images (count, 3, R, R), uint8, that were not trained on."""
        styles: Tensor = data.styles("validation", count)
        return styles

    @torch.no_grad()
    def generate(self, inputs: StyleInputs) -> Images:
        """Images of the averaged generator."""
        content, style = map(to_signed, inputs)
        return Images(self.generator_ema(content, self.parameters_of(style)).float())

    def draw_grid(self, data: Any, count: int) -> tuple[Tensor, int]:
        """A matrix of held-out contents (rows) and styles (columns), at most about `count` images.

        Each appears once: where few are held out, the matrix is small.
        """
        side = max(1, round(count**0.5))
        n_styles = min(side, data.split_size("validation")) if self.takes_style else 1
        styles = self.draw_styles(data, max(n_styles, 1)).cpu()
        n_contents = min(side, data.content.split_size("validation"))
        contents = data.contents("validation", max(n_contents, 1))
        rows = [torch.full_like(contents[:1], 255), styles]
        for content in contents:
            repeated = content.expand(len(styles), -1, -1, -1)
            made = self.generate(on(self.device, StyleInputs(repeated, styles))).images
            rows += [content[None], to_uint8(made).cpu()]
        return torch.cat(rows), len(styles) + 1

    def networks_in_use(self, **options: Any) -> dict[str, nn.Module]:
        """See `Method`: also the network that describes styles."""
        networks = super().networks_in_use(**options)
        perception: Perception | None = getattr(self, "perception", None)
        if self.takes_style and perception is not None:
            networks["perceptual"] = perception.network
            encoder = getattr(self.generator_ema.network, "encoder", None)
            if encoder is not None and encoder is not perception.network:
                networks["encoder"] = encoder
        return networks


class StyleTarget(NamedTuple):
    """What a style's layer should be like: its Gram matrix and its channels' statistics."""

    gram: Tensor
    statistics: ChannelStatistics

    @property
    def moments(self) -> Gaussian:
        """The means and the covariances of the channels."""
        return channel_moments(self.gram, self.statistics.mean)


class Perception:
    """Content and style as a perceptual network sees them.

    Args:
        network: not in any checkpoint, since its weights come with its package.
    """

    def __init__(self, network: PerceptualNetwork) -> None:
        self.network = network
        self.sight = Sight(network)

    def check(self, key: str, weights: Mapping[str, Number]) -> None:
        """Refuse losses on layers that the network was not asked for.

        Raises:
            UserError: naming the weight below `key` in the config.
        """
        layers = {"content": self.network.content_layers, "style": self.network.style_layers}
        for name, weight in weights.items():
            kind = "content" if name in _OF_CONTENT else "style"
            if name in (*_OF_CONTENT, *_OF_STYLE) and weight != 0 and not layers[kind]:
                raise UserError(
                    f"{key}.{name}={weight} needs {kind}_layers of the perceptual network"
                )
        if weights.get("transported", 0) != 0:
            self.network.check_units(f"{key}.transported")

    @cached_property
    def style_dim(self) -> int:
        """Length of the part of a description that networks are given whole."""
        targets, _ = self.describe(torch.zeros(1, 3, 64, 64))
        layers = self.network.style_layers
        return 2 * sum(targets[name].gram.shape[1] for name in layers) + PALETTE_DIM

    def _network_on(self, device: torch.device) -> PerceptualNetwork:
        # Nothing is moved that is there already: a traced network may not be touched.
        if next(self.network.parameters()).device != device:
            self.network.to(device)
        return self.network

    @torch.no_grad()
    def describe(self, style: Tensor) -> tuple[dict[str, StyleTarget], Tensor]:
        """The styles of images (N, 3, H, W): as targets of the losses, and as vectors (N, S).

        A vector has the statistics of all style layers, `style_dim` numbers with the palette that
        follows, and ends with the Gaussians of the content layers.
        """
        with torch.autocast(style.device.type, enabled=False):
            network = self._network_on(style.device)
            features = network(_framed(style.float(), _SHIFT // 2, _SHIFT // 2))
            targets = {
                name: StyleTarget(gram_matrix(maps), channel_statistics(maps))
                for name, maps in features.items()
            }
            parts = [targets[name].statistics for name in network.style_layers]
            flat = [part for mean, std in parts for part in (mean, std.log())]
            gaussians = [pack(gaussian_of(maps)) for maps in self.sight(style)]
            return targets, torch.cat([*flat, palette_of(style), *gaussians], 1)

    def losses(
        self,
        fake: Tensor,
        content: Tensor,
        targets: Mapping[str, StyleTarget],
        weights: Mapping[str, Number],
        seed: int,
    ) -> dict[str, Tensor]:
        """Content, transported, gram, moments and statistics: means over the layers, in float32.

        Those without weight are left out.

        Args:
            fake: images (N, 3, H, W) in [-1, 1].
            content: what their content should be, likewise.
            targets: from `describe`, for as many styles or for one.
            weights: of the losses.
            seed: decides how many pixels the images are shifted by before they are compared.
        """
        with torch.autocast(fake.device.type, enabled=False):
            network = self._network_on(fake.device)
            # The network's strides would leave a checkerboard if they always met the same pixels.
            top, left = seed % (_SHIFT + 1), seed // (_SHIFT + 1) % (_SHIFT + 1)
            moved, still = (_framed(x, top, left) for x in (fake.float(), content))
            features = network(moved)
            with torch.no_grad():
                wanted = network(still, network.content_layers)
            of_content: dict[str, Callable[[str], Tensor]] = {
                "content": lambda k: content_loss(features[k], wanted[k]),
                "transported": lambda k: transported_loss(
                    features[k], wanted[k], targets[k].moments
                ),
            }
            of_style: dict[str, Callable[[str], Tensor]] = {
                "gram": lambda k: relative_gram_distance(gram_matrix(features[k]), targets[k].gram),
                "moments": lambda k: moments_distance(gaussian_of(features[k]), targets[k].moments),
                "statistics": lambda k: statistics_distance(
                    channel_statistics(features[k]), targets[k].statistics
                ),
            }
            return {
                name: mean(loss(k) for k in layers)
                for losses, layers in (
                    (of_content, network.content_layers),
                    (of_style, network.style_layers),
                )
                for name, loss in losses.items()
                if weights.get(name, 0) != 0
            }


def _framed(images: Tensor, top: int, left: int) -> Tensor:
    """Images with 8 mirrored rows and columns more, `top` of these above and `left` before.

    What the network pads with zeros is then no part of them: their edges look like the rest.
    """
    return pad(images, (left, _SHIFT - left, top, _SHIFT - top), mode="reflect")


def mean(values: Iterable[Tensor]) -> Tensor:
    """Of scalars."""
    return torch.stack(list(values)).mean()
