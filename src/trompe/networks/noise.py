"""Random numbers inside networks: one process and many draw the same.

While a method is trained they belong to rows of the global batch; elsewhere they are fixed, one
image's numbers for all images, so that a network's output depends on its input
alone.
"""

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

from trompe.engine.randomness import current_draws, keyed_generator


def noise_like(features: Tensor) -> Tensor:
    """Standard normal numbers of the shape and type of features (N, ...).

    Raises:
        ValueError: if in training N is not a multiple of this process's images.
    """
    return _numbers(features, uniform=False)


class Dropout(nn.Dropout):
    """`torch.nn.Dropout` whose masks belong to rows of the global batch, while a method trains."""

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, ...), some of them 0 and the others divided by 1 - p, in training."""
        if current_draws() is None or not self.training or self.p == 0:
            return super().forward(features)
        kept = _numbers(features, uniform=True) >= self.p
        return features * kept / (1 - self.p)


def _numbers(features: Tensor, uniform: bool) -> Tensor:
    draws = current_draws()
    shape = features.shape[1:]
    if draws is None:
        generator = keyed_generator(0, "fixed noise", shape.numel(), features.device)
        make = torch.rand if uniform else torch.randn
        # While a program is traced, the numbers become a part of it, and not drawing them.
        with _disable_current_modes():
            one = make((1, *shape), generator=generator, device=features.device)
        return one.to(features.dtype).expand(features.shape)
    name = draws.next_layer()
    draw = draws.uniform if uniform else draws.normal
    rows = draw(name, *shape)
    copies, left = divmod(len(features), len(rows))
    if left:
        raise ValueError(f"{len(features)} rows for {len(rows)} images")
    more = [draw(f"{name}/{i}", *shape) for i in range(1, copies)]
    return torch.cat([rows, *more]).to(features.dtype)
