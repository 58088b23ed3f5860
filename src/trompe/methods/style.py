"""What style-transfer methods share: pairs in, pictures out, and losses in a network's features."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from trompe.data.content_style import StyleBatch
from trompe.engine.randomness import keyed_generator, keyed_seed
from trompe.images import to_signed, to_uint8
from trompe.losses.perceptual import (
    ChannelStatistics,
    channel_statistics,
    content_loss,
    gram_matrix,
    relative_gram_distance,
    statistics_distance,
)
from trompe.methods.method import Method
from trompe.networks.perceptual_network import PerceptualNetwork

# Pictures are moved by fewer pixels than this before they are compared: the stride of b8e is 16.
_SHIFTS = 8


class StyleTransfer(Method):
    """Base of the methods that make a picture with the content of one and the style of another.

    A subclass has `generator_ema`, from contents and a style's parameters to pictures, and says in
    `parameters_of` how these come from the style's picture.

    Attributes:
        takes_style: whether any style can be asked for; otherwise it knows one style only.
    """

    batch_type = StyleBatch
    use = "trompe stylize run={run} content=<picture or folder> style=<picture or folder>"
    takes_style = True
    generator_ema: Any

    def parameters_of(self, style: Tensor) -> Tensor:
        """What `stylize` takes, (N, P), for style images (N, 3, H, W) in [-1, 1]."""
        raise NotImplementedError

    def stylize(self, content: Tensor, parameters: Tensor) -> Tensor:
        """The averaged generator's pictures (N, 3, H, W) in [-1, 1] of `content`, float32."""
        return self.generator_ema.eval()(content, parameters).float()

    def draw_inputs(self, data: Any, count: int, purpose: str) -> Tensor:
        """Held-out pairs (count, 2, 3, R, R) of content and style, uint8."""
        contents, styles = data.contents("validation", count), self.draw_styles(data, count)
        order = torch.randperm(count, generator=keyed_generator(self.seed, purpose))
        return torch.stack([contents, styles[order]], 1)

    def draw_styles(self, data: Any, count: int) -> Tensor:
        """Style images (count, 3, R, R), uint8, that were not trained on."""
        return data.styles("validation", count)

    @torch.no_grad()
    def sample(self, inputs: Tensor) -> Tensor:
        """Images in [-1, 1], (N, 3, H, W), of the averaged generator, for uint8 pairs."""
        content, style = (to_signed(images) for images in inputs.unbind(1))
        return self.stylize(content, self.parameters_of(style))

    def draw_grid(self, data: Any, count: int) -> tuple[Tensor, int]:
        """A matrix of held-out contents (rows) and styles (columns), at most about `count` images.

        Each comes once: where few are held out, the matrix is small.
        """
        side = max(1, round(count**0.5))
        n_styles = min(side, data.split_size("validation")) if self.takes_style else 1
        styles = self.draw_styles(data, max(n_styles, 1)).cpu()
        n_contents = min(side, data.content.split_size("validation"))
        contents, columns = data.contents("validation", max(n_contents, 1)), len(styles)
        repeated = styles.repeat(len(contents), 1, 1, 1)
        pairs = torch.stack([contents.repeat_interleave(columns, 0), repeated], 1)
        made = [to_uint8(self.sample(some.to(self.device))).cpu() for some in pairs.split(columns)]
        corner = torch.full_like(contents[:1], 255)
        rows = [
            torch.cat([content[None], row]) for content, row in zip(contents, made, strict=True)
        ]
        return torch.cat([corner, styles, *rows]), columns + 1


class StyleTarget(NamedTuple):
    """What a style's layer should be like: its Gram matrix and its channels' statistics."""

    gram: Tensor
    statistics: ChannelStatistics


class Perception:
    """Content and style as a perceptual network sees them.

    Args:
        network: in no checkpoint, since its weights come with its package.
    """

    def __init__(self, network: PerceptualNetwork) -> None:
        self.network = network

    @property
    def style_dim(self) -> int:
        """Length of what describes a style."""
        return self.describe(torch.zeros(1, 3, 64, 64))[1].shape[1]

    @torch.no_grad()
    def describe(self, style: Tensor) -> tuple[dict[str, StyleTarget], Tensor]:
        """The styles of images (N, 3, H, W): as targets of the losses, and as vectors (N, S)."""
        with torch.autocast(style.device.type, enabled=False):
            network = self.network.to(style.device)
            features = network(style.float(), network.style_layers)
            targets = {
                name: StyleTarget(gram_matrix(maps), channel_statistics(maps))
                for name, maps in features.items()
            }
            parts = [(t.statistics.mean, t.statistics.std.log()) for t in targets.values()]
            return targets, torch.cat([part for pair in parts for part in pair], 1)

    def losses(
        self,
        fake: Tensor,
        content: Tensor,
        targets: Mapping[str, StyleTarget],
        weights: Mapping[str, float],
        seed: int,
    ) -> dict[str, Tensor]:
        """Content, gram and statistics: means over the network's layers, in float32.

        Those without weight are left out.

        Args:
            fake: pictures (N, 3, H, W) in [-1, 1].
            content: what their content should be, likewise.
            targets: of `describe`, of as many styles or of one.
            weights: of the losses.
            seed: decides by which few pixels the pictures are moved before they are looked at.
        """
        with torch.autocast(fake.device.type, enabled=False):
            network = self.network.to(fake.device)
            # The network's strides would leave a checkerboard if they always met the same pixels.
            top, left = seed % _SHIFTS, seed // _SHIFTS % _SHIFTS
            moved, still = (x[..., top:, left:] for x in (fake.float(), content))
            features = network(moved)
            with torch.no_grad():
                wanted = network(still, network.content_layers)
            own = {name: features[name] for name in targets}
            losses = {
                "content": lambda k: content_loss(features[k], wanted[k]),
                "gram": lambda k: relative_gram_distance(gram_matrix(own[k]), targets[k].gram),
                "statistics": lambda k: statistics_distance(
                    channel_statistics(own[k]), targets[k].statistics
                ),
            }
            return {
                name: mean(loss(k) for k in (wanted if name == "content" else targets))
                for name, loss in losses.items()
                if weights[name]
            }


def mean(values: Iterable[Tensor]) -> Tensor:
    """Of scalars."""
    return torch.stack(list(values)).mean()


def shift_seed(method: Method) -> int:
    """The seed for `Perception.losses`, another at every update."""
    return keyed_seed(method.seed, "shift", method.clock.images)


def weighted(
    losses: Mapping[str, Tensor], weights: Mapping[str, float], track: Callable[[str, Tensor], None]
) -> Tensor:
    """The weighted sum of losses, each of which is tracked by its name, unweighted."""
    for name, value in losses.items():
        track(f"loss/{name}", value)
    return torch.stack([weights[name] * value for name, value in losses.items()]).sum()
