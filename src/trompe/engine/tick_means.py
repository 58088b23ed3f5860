"""Per-tick means of scalars, kept on the device and read once."""

import torch
from torch import Tensor


class TickAverages:
    """Sums scalars on their device, so that no training step waits for the host.

    It also remembers at which image count a value was first not finite.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._first_bad: Tensor | None = None

    def add(self, name: str, value: Tensor, images: int) -> None:
        """Add one scalar tensor, seen at an image count of `images`."""
        value = value.detach().double().mean()
        if self._first_bad is None:
            self._first_bad = torch.full_like(value, torch.inf)
        bad = torch.where(value.isfinite(), torch.inf, float(images))
        self._first_bad = torch.minimum(self._first_bad, bad)
        self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._counts[name] = self._counts.get(name, 0) + 1

    def read(self) -> tuple[dict[str, float], int | None]:
        """The means over all processes, and the image count of the first bad value if any.

        Collective: every process must call it, having added the same names.
        """
        if self._first_bad is None:
            return {}, None
        means = torch.stack([self._sums[name] / self._counts[name] for name in self._sums])
        first_bad = self._first_bad.clone()
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(means)
            means /= torch.distributed.get_world_size()
            torch.distributed.all_reduce(first_bad, op=torch.distributed.ReduceOp.MIN)
        names, bad = list(self._sums), first_bad.item()
        values = dict(zip(names, means.tolist(), strict=True))
        self._sums, self._counts, self._first_bad = {}, {}, None
        return values, None if bad == torch.inf else int(bad)
