"""Stylized images against the content and the style that each was made from.

A measure is a module from images, contents and styles, float (N, 3, H, W) in [-1, 1], to a number
for each, (N,); lower is better for all of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, unfold

from trompe.engine.randomness import keyed_generator
from trompe.errors import UserError
from trompe.images import to_signed
from trompe.losses.perceptual import (
    channel_statistics,
    self_similarity,
    self_similarity_distance,
)
from trompe.metrics.comparison import Comparison
from trompe.metrics.score import Score
from trompe.networks.perceptual_network import PerceptualNetwork
from trompe.own_code import name_of

# All pairs of a map's positions are compared: maps no finer than this keep that affordable.
_POSITIONS = 16
_AT_ONCE = 16  # images in a pass


class PairMeasure(nn.Module):
    """What pair measures share.

    Args:
        name: in a record.
        protocol: what the values depend on, for the card.
    """

    def __init__(self, name: str, protocol: dict[str, Any]) -> None:
        super().__init__()
        self.name = name
        self.protocol = protocol

    def forward(self, picture: Tensor, content: Tensor, style: Tensor) -> Tensor:
        """A number (N,) for each image; all three (N, 3, H, W) in [-1, 1]."""
        raise NotImplementedError


class ContentStructure(PairMeasure):
    """How much of the content's structure is lost: the distance of patch self-similarities.

    Which places of a picture are alike does not change with its colors and strokes (Kolkin et al.
    2019, https://arxiv.org/abs/1904.12785, sec. 2.3, eq. 7; as a measure: the CF-SD of Wang et
    al. 2023, https://arxiv.org/abs/2304.05139). Recorded as ``content_<network>``; between 0 and 2.

    Args:
        network: whose content layers are compared; useful only if it was not trained against.
    """

    def __init__(self, network: PerceptualNetwork) -> None:
        layers = network.content_layers
        super().__init__(f"content_{network.name}", _protocol(network, layers))
        self.network = network
        self.layers = layers

    def forward(self, picture: Tensor, content: Tensor, style: Tensor) -> Tensor:
        """See `PairMeasure`."""
        made, wanted = (self.network(images, self.layers) for images in (picture, content))
        distances = []
        for name in self.layers:
            pairs = zip(*(_similarity(maps[name]).split(1) for maps in (made, wanted)), strict=True)
            distances.append(torch.stack([self_similarity_distance(*pair) for pair in pairs]))
        return torch.stack(distances).mean(0)


class StyleError(PairMeasure):
    """How far the statistics of a network's channels are from those of the style.

    The squared distance of means and standard deviations relative to the style's own size, a mean
    over the layers (Huang and Belongie 2017, https://arxiv.org/abs/1703.06868, eq. 13, without
    units). Recorded as ``style_<network>``; 0 for the style itself.

    Args:
        network: whose style layers are compared; they should not have been trained against.
    """

    def __init__(self, network: PerceptualNetwork) -> None:
        layers = network.style_layers
        super().__init__(f"style_{network.name}", _protocol(network, layers))
        self.network = network
        self.layers = layers

    def forward(self, picture: Tensor, content: Tensor, style: Tensor) -> Tensor:
        """See `PairMeasure`."""
        made, wanted = (self.network(images, self.layers) for images in (picture, style))
        errors = []
        for name in self.layers:
            ours, theirs = (torch.cat(channel_statistics(m[name]), 1) for m in (made, wanted))
            errors.append((ours - theirs).square().sum(1) / theirs.square().sum(1))
        return torch.stack(errors).mean(0)


class PatchDistance(PairMeasure):
    """How far the picture's patches are, as a distribution, from those of the style.

    The sliced Wasserstein distance of the 7 x 7 patches, two pixels apart, at full, half and a
    quarter of the size, as far as patches fit, a mean over these and over random directions (Karras
    et al. 2018, https://arxiv.org/abs/1710.10196, sec. 5, who take 7 x 7 patches of a Laplacian
    pyramid; here of the pictures themselves, since their colors are a part of the style). It has no
    network. Recorded as ``patches``; in units of the pictures' range from -1 to 1.

    Args:
        directions: how many.
        seed: of the directions.
    """

    SIDE, SCALES = 7, (1, 2, 4)

    def __init__(self, directions: int = 64, seed: int = 0) -> None:
        protocol = {
            "patches": self.SIDE,
            "stride": 2,
            "scales": self.SCALES,
            "directions": directions,
        }
        super().__init__("patches", {**protocol, "directions": directions, "seed": seed})
        drawn = torch.randn(directions, 3 * self.SIDE**2, generator=keyed_generator(seed, "slices"))
        self.register_buffer("slices", drawn / drawn.norm(dim=1, keepdim=True))

    def forward(self, picture: Tensor, content: Tensor, style: Tensor) -> Tensor:
        """See `PairMeasure`."""
        distances = []
        for made, wanted in zip(picture.split(1), style.split(1), strict=True):
            scales = [
                (self._quantiles(made, scale) - self._quantiles(wanted, scale)).abs().mean()
                for scale in self.SCALES
                if min(*made.shape[2:], *wanted.shape[2:]) // scale >= self.SIDE
            ]
            distances.append(torch.stack(scales).mean())
        return torch.stack(distances)

    def _quantiles(self, image: Tensor, scale: int) -> Tensor:
        """Of the patches along each direction, (255, directions)."""
        patches = unfold(avg_pool2d(image, scale), self.SIDE, stride=2)[0]
        levels = torch.linspace(0, 1, 257, device=image.device)[1:-1]
        return torch.quantile(self.get_buffer("slices") @ patches, levels, dim=1)


class PairComparison(Comparison):
    """Means of pair measures over the first `n_images` held-out pairs of content and style.

    For methods that make one image from two. The standard errors are those of a mean.

    Args:
        measures: of each image, by any names.
        n_images: number of images, each from a different pair.

    Raises:
        UserError: if there are none.
    """

    needs = ("content", "style")

    def __init__(self, measures: Mapping[str, PairMeasure], n_images: int) -> None:
        super().__init__(n_images, len(measures))
        self.measures = nn.ModuleList(measures.values())
        self.names = [measure.name for measure in measures.values()]
        self._cards = {m.name: (type(m).__name__, m.protocol) for m in measures.values()}

    def prepare(self, data: Any) -> None:
        """Record which data the pairs come from.

        Raises:
            UserError: if they are not pairs of content and style.
        """
        if not hasattr(data, "contents"):
            names = ", ".join(self.names)
            raise UserError(
                f"metrics: {names} compare images with the content and style that a run made "
                "them from: choose other metrics"
            )
        self.data_fingerprint = data.fingerprint

    @torch.no_grad()
    def measure_rows(self, outputs: Any, inputs: Any) -> Tensor:
        """The measures of the images, made from content and style, uint8 (N, 3, H, W)."""
        images, found = outputs.images, []
        with torch.autocast(images.device.type, enabled=False):
            three = (images, inputs.content.to(images.device), inputs.style.to(images.device))
            for parts in zip(*(part.split(_AT_ONCE) for part in three), strict=True):
                signed = [to_signed(part) for part in parts]
                found.append(torch.stack([_numbers(m, *signed) for m in self.measures], 1))
        return torch.cat(found)

    def scores(self, rows: Tensor) -> dict[str, Score]:
        """Mean and standard error of each measure."""
        deviations, means = torch.std_mean(rows.double(), 0)
        return {
            name: Score(float(mean), float(deviation) / self.n_images**0.5)
            for name, mean, deviation in zip(self.names, means, deviations, strict=True)
        }

    def directions(self) -> dict[str, str]:
        """Less is better of each value."""
        return dict.fromkeys(self.names, "lower")

    def protocols(self) -> dict[str, dict[str, Any]]:
        """The protocol of each value in a record, by its name."""
        return {
            name: self.of_held_out(measure, "lower", protocol)
            for name, (measure, protocol) in self._cards.items()
        }


def _numbers(measure: nn.Module, picture: Tensor, content: Tensor, style: Tensor) -> Tensor:
    """What a measure returns; one of the user's own may return anything."""
    numbers: Any = measure(picture, content, style)
    if not isinstance(numbers, Tensor) or numbers.shape != (len(picture),):
        kind = tuple(numbers.shape) if isinstance(numbers, Tensor) else type(numbers).__name__
        raise UserError(
            f"metrics: {name_of(measure)} returned {kind}: it must return a tensor with a number "
            f"for each of {len(picture)} images"
        )
    return numbers


def _protocol(network: PerceptualNetwork, layers: Sequence[str]) -> dict[str, Any]:
    return {
        "features": f"{network.name}: {', '.join(layers)}",
        "features_sha256": network.fingerprint,
    }


def _similarity(maps: Tensor) -> Tensor:
    """Self-similarity of maps (N, C, H, W), pooled to 16 positions a side at most.

    What all places have in common is removed first, or everything would look alike.
    """
    sides = (min(maps.shape[2], _POSITIONS), min(maps.shape[3], _POSITIONS))
    pooled = adaptive_avg_pool2d(maps, sides)
    return self_similarity(pooled - pooled.mean((2, 3), keepdim=True))
