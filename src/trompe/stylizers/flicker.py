"""How restless the frames of a stylized animation are where its content stands still."""

import torch
from torch import Tensor

# Pixels whose three values change by less than this stand still: 2 gray levels of 255.
_STILL = 2 / 127.5


class Flicker:
    """Mean change from frame to frame of the pixels that stand still in the content.

    Attributes:
        pixels: how many stood still, over all pairs of frames.
    """

    def __init__(self) -> None:
        self.pixels = 0
        self._changes = torch.zeros(2, dtype=torch.float64)
        self._before: tuple[Tensor, Tensor] | None = None

    def add(self, content: Tensor, made: Tensor) -> None:
        """The next frame, as content and as made of it, both (1, 3, H, W) in [-1, 1]."""
        if self._before is not None and self._before[0].shape == content.shape:
            changes = [
                (now - then).abs()[0]
                for now, then in zip((content, made), self._before, strict=True)
            ]
            still = (changes[0] < _STILL).all(0)
            self.pixels += int(still.sum())
            for kind, change in enumerate(changes):
                self._changes[kind] += float(change.mean(0)[still].sum())
        self._before = content.clone(), made.clone()

    def skip(self) -> None:
        """The next frame is not made: the one after it has none before it to be compared with."""
        self._before = None

    def means(self) -> tuple[float, float] | None:
        """In gray levels of 255: of the content, and of what was made; None without such pixels."""
        if self.pixels == 0:
            return None
        content, made = (self._changes / self.pixels * 127.5).tolist()
        return content, made
