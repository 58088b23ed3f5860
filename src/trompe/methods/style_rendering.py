"""Pictures in a style, of any size, at any strength, and as frames that belong together."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from trompe.engine.ema import Averaged
from trompe.methods.capabilities import FromPictures, Options
from trompe.networks.strokes import Paints, Statistics, pooled, shrinkage, shrunk
from trompe.networks.tiling import Tiled

# A content is described as a style is: at about that size, in pixels of the shorter side.
_DESCRIBED_AT = 256
# Ours: larger pictures get strokes made at this shorter side and enlarged, or one would not see
# them in the whole picture.
STROKES_AT = 1024


class Held(NamedTuple):
    """What stays the same in all frames of an animation.

    Args:
        own: the description (1, S) of the contents as a style.
        styled: what the network measures of the contents in the style.
        plain: and in their own; None at full strength.
    """

    own: Tensor
    styled: Statistics
    plain: Statistics | None


class RendersStyle(FromPictures):
    """Renders pictures with `generator_ema`, from contents and a style's parameters to images.

    Attributes:
        generator_ema: its network's `predict` makes the parameters from a description.
    """

    takes_style = True
    # The generators halve the resolution twice, and what sees the content three times: where a side
    # is no multiple, that pads both sides differently, and its features are moved.
    multiple = 8
    generator_ema: Averaged

    @property
    def options(self) -> Options:
        """`strokes_at`: shorter side at which strokes are made and then enlarged; 0: as it is."""
        return {"strokes_at": ()} if self._paints else {}

    def parameters_of(self, style: Tensor) -> Tensor:
        """The generator's style parameters (N, P) for style images (N, 3, H, W) in [-1, 1]."""
        raise NotImplementedError

    @torch.no_grad()
    def render(
        self,
        picture: Tensor,
        style: Tensor | None = None,
        strength: float = 1.0,
        tile: int | None = None,
        held: Held | None = None,
        **options: Any,
    ) -> Tensor:
        """See `FromPictures`.

        Below full strength the style's parameters are mixed with those of the content's own, and
        what the generator fails to reproduce of the content is added back in proportion. A
        method that knows only one style has its pictures faded into the content.
        """
        network = self.generator_ema.network

        def make(parameters: Tensor, fixed: Statistics | None = None) -> Tensor:
            return self._make(picture, parameters, fixed, tile, **options)

        if style is None:
            return torch.lerp(picture, make(network.predict(picture)), strength)
        parameters = network.predict(style)
        if strength == 1:
            return make(parameters, held and held.styled)
        own = network.predict(self._describe_content(picture) if held is None else held.own)
        missing = make(own, held and held.plain).neg_().add_(picture)
        made = make(torch.lerp(own, parameters, strength), held and held.styled)
        return made.add_(missing, alpha=1 - strength).clamp_(-1, 1)

    @torch.no_grad()
    def hold(
        self, frames: Iterable[Tensor], style: Tensor | None, strength: float, **options: Any
    ) -> Held | None:
        """See `FromPictures`: the palette and all layers' moments, over all of these frames."""
        if style is None or not self._paints:
            return None
        network = self.generator_ema.network
        side = _side(**options)
        small, codes = [], []
        for frame in frames:
            codes.append(self._describe_content(frame))
            small.append(shrunk(frame, side) if side else frame)
        own = torch.stack(codes).mean(0)
        plain = network.predict(own)
        styled = torch.lerp(plain, network.predict(style), strength)

        def measure(parameters: Tensor) -> Statistics:
            return pooled([network.measure(frame, parameters) for frame in small])

        return Held(own, measure(styled), measure(plain) if strength < 1 else None)

    def tile_memory(self, height: int, width: int, tile: int) -> int | None:
        """See `FromPictures`: as its generator can."""
        network = self.generator_ema.network
        return network.tile_memory(height, width, tile) if isinstance(network, Tiled) else None

    @property
    def _paints(self) -> bool:
        return isinstance(self.generator_ema.network, Paints)

    def _describe_content(self, picture: Tensor) -> Tensor:
        return self.describe(shrunk(picture, _DESCRIBED_AT))

    def _make(
        self,
        picture: Tensor,
        parameters: Tensor,
        fixed: Statistics | None = None,
        tile: int | None = None,
        strokes_at: int | None = None,
    ) -> Tensor:
        network = self.generator_ema.network
        if self._paints:
            side = _side(strokes_at)
            if side and shrinkage(picture, side) < 1:
                enlarged: Tensor = network.render_enlarged(picture, parameters, side, fixed)
                return enlarged
            made: Tensor = self.generator_ema(picture, parameters, fixed)
        elif tile is not None:
            made = network.render_in_tiles(picture, parameters, tile)
        else:
            made = self.generator_ema(picture, parameters)
        return made.float()


def _side(strokes_at: int | None = None, **others: Any) -> int:
    return STROKES_AT if strokes_at is None else strokes_at
