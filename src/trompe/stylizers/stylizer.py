"""What `trompe stylize` asks of whatever it stylizes with."""

from typing import Protocol

import torch
from torch import Tensor


class Stylizer(Protocol):
    """Pictures are (1, 3, H, W) in [-1, 1], of any size from 16 pixels a side, on `device`.

    Attributes:
        name: what the user is told.
        device: where pictures should be.
        takes_style: whether any style can be asked for; otherwise it knows one style only.
    """

    name: str
    device: torch.device
    takes_style: bool

    def describe(self, style: Tensor) -> Tensor:
        """A style (1, S), of which weighted means are styles too, from its picture."""

    def render(self, content: Tensor, style: Tensor | None, strength: float) -> Tensor:
        """The picture of a content in a style (1, S), or in the only one that it knows.

        At strength 0 it is the content, at 1 in full style, and continuous between.

        Raises:
            UserError: if the picture is too large.
        """
