"""Per-tick means of scalars, kept on the device and read once."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trompe.engine.share import Share


class Read(NamedTuple):
    """One tick's results.

    `means` over the tick and all processes; `histograms`, the last values of some of them, on the
    host; `bad_images`, the image count at which a value was first not finite, else None.
    """

    means: dict[str, float]
    histograms: dict[str, np.ndarray]
    bad_images: int | None


class TickMeans:
    """Sums scalars on their device, so that no training step waits for the host."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._last: dict[str, Tensor] = {}
        self._first_bad: Tensor | None = None

    def add(self, name: str, value: Tensor, images: int) -> None:
        """Add one scalar tensor, or the mean of several, seen at an image count of `images`."""
        value = value.detach().double().mean()
        if self._first_bad is None:
            self._first_bad = torch.full_like(value, torch.inf)
        bad = torch.where(value.isfinite(), torch.inf, float(images))
        self._first_bad = torch.minimum(self._first_bad, bad)
        self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._counts[name] = self._counts.get(name, 0) + 1

    def add_values(self, name: str, values: Tensor, images: int) -> None:
        """The same, and keep the values for a histogram: the tick's last ones count."""
        self.add(name, values, images)
        self._last[name] = values.detach()

    def read(self, share: Share | None = None) -> Read:
        """Everything since the last time. Collective, and the only host synchronization.

        Every process must call it, having added the same names.
        """
        share = share or Share()
        if self._first_bad is None:
            return Read({}, {}, None)
        means = torch.stack([self._sums[name] / self._counts[name] for name in self._sums])
        first_bad = share.gather(self._first_bad[None]).min()
        histograms = {k: v.float().cpu().numpy() for k, v in self._last.items()}
        names, bad = list(self._sums), first_bad.item()
        values = dict(zip(names, share.mean(means).tolist(), strict=True))
        self._sums, self._counts, self._last, self._first_bad = {}, {}, {}, None
        return Read(values, histograms, None if bad == torch.inf else int(bad))
