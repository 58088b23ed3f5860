"""What `trompe stylize` needs from a stylizer."""

from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch import Tensor

from trompe.errors import UserError, check_number


class Stylizer(Protocol):
    """Pictures are (1, 3, H, W) in [-1, 1], of any size from 16 pixels a side, on `device`.

    Attributes:
        name: shown to the user.
        fingerprint: changes whenever it would make other pictures.
        device: where pictures should be.
        takes_style: whether it takes any style; otherwise it knows only one.
    """

    name: str
    fingerprint: str
    device: torch.device
    takes_style: bool

    def describe(self, style: Tensor) -> Tensor:
        """A style (1, S) from its picture; weighted means of styles are styles too."""

    def hold(self, frames: Iterable[Tensor], style: Tensor | None, strength: float) -> Any:
        """What all frames of an animation share, measured on some of them; None: nothing."""

    def render(
        self, content: Tensor, style: Tensor | None, strength: float, held: Any = None
    ) -> Tensor:
        """The picture of a content in a style (1, S), or in the only one that it knows.

        Strength 0 gives the content, 1 the full style, with a continuous change between. `held` is
        what `hold` gave, for a frame of an animation.

        Raises:
            UserError: if the picture is too large.
        """


def check_style(stylizer: Stylizer, style: Any) -> None:
    """Refuse a missing style, and one that is of no use.

    Raises:
        UserError: saying which.
    """
    if stylizer.takes_style == (style is None):
        raise UserError(
            "style= is missing: name a picture or a folder"
            if stylizer.takes_style
            else f"{stylizer.name} knows one style only: leave style= out"
        )


def check_strength(strength: float) -> None:
    """Refuse anything but a number from 0 to 1.

    Raises:
        UserError: naming the key.
    """
    check_number("strength", strength)
    if not 0 <= strength <= 1:
        raise UserError(f"strength={strength} must be between 0 and 1")
