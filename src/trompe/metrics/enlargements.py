"""Enlarged images against the large ones that they were made small from."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from trompe.data.high_low import HighLowData
from trompe.errors import UserError
from trompe.images import enlarged, to_signed, to_uint8
from trompe.losses.fidelity import psnr
from trompe.metrics.comparison import Comparison
from trompe.metrics.score import Score
from trompe.networks.perceptual_network import PerceptualNetwork

_NAMES = ("psnr_y", "ssim_y", "perceptual")
_BETTER = ("higher", "higher", "lower")
# ITU-R BT.601 as MATLAB's rgb2ycbcr has it, which published values are of: 16 to 235.
_LUMA, _FLOOR = (65.481, 128.553, 24.966), 16.0


class EnlargementComparison(Comparison):
    """Means over held-out images, and the same of bicubic enlargement, as ``..._bicubic``.

    - ``psnr_y``: dB, of the luma; higher is better.
    - ``ssim_y``: Wang et al. 2004, of the luma; higher is better.
    - ``perceptual_<network>``: the mean squared distance of features, each position's scaled to
      length 1 (as LPIPS, Zhang et al. 2018, eq. 1, without its fitted weights); lower is better.

    Args:
        n_images: images.
        network: whose content layers are compared; best one that was not trained against.
        border: pixels left out at each edge; None: the factor, as most papers do.

    Raises:
        UserError: if there are fewer than two images.
    """

    def __init__(self, n_images: int, network: PerceptualNetwork, border: int | None) -> None:
        super().__init__(n_images, 6)
        self.network = network
        self.border = border
        self.factor = 0

    def prepare(self, data: Any) -> None:
        """Record which data the images come from.

        Raises:
            UserError: if these have no small copies.
        """
        if not isinstance(data, HighLowData):
            raise UserError("metrics: enlargements need images with small copies: data=high_low")
        self.data_fingerprint = data.fingerprint
        self.factor = data.degradation.factor
        self.distinct = min(self.n_images, data.split_size("validation"))

    @property
    def left_out(self) -> int:
        """Pixels at each edge."""
        return self.factor if self.border is None else self.border

    def measure_rows(self, outputs: Any, inputs: Any) -> Tensor:
        """Three numbers of each image, and three of its bicubic enlargement."""
        device = outputs.images.device
        high, low = inputs.high.to(device), inputs.low.to(device)
        plain = to_uint8(enlarged(to_signed(low), self.factor))
        columns = [*self._compare(outputs.images, high), *self._compare(plain, high)]
        return torch.stack(columns, 1).to(self.rows.dtype)

    def _compare(self, images: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        border = self.left_out
        inner = (..., slice(border, -border or None), slice(border, -border or None))
        ours, theirs = (luma(x[inner]) / 255 for x in (images, high))
        ratio = psnr((ours - theirs).square().mean((1, 2, 3)))
        similarity: Any = structural_similarity_index_measure(
            ours, theirs, data_range=1.0, reduction="none"
        )
        return ratio, similarity, self._apart(images[inner], high[inner])

    def _apart(self, images: Tensor, high: Tensor) -> Tensor:
        layers = self.network.content_layers
        terms = []
        ours, theirs = (self.network(_rgb(x), layers) for x in (images, high))
        for name in layers:
            a, b = (x[name].float() for x in (ours, theirs))
            a, b = (x / x.norm(dim=1, keepdim=True).clamp_min(1e-6) for x in (a, b))
            terms.append((a - b).square().sum(1).mean((1, 2)))
        return torch.stack(terms).mean(0)

    def scores(self, rows: Tensor) -> dict[str, Score]:
        """The means by their names."""
        own = rows[: self.distinct].double()
        errors = own.std(0) / len(own) ** 0.5 if len(own) > 1 else [None] * 6
        means = own.mean(0)
        return {
            name: Score(float(mean), None if error is None else float(error))
            for name, mean, error in zip(self._names(), means, errors, strict=True)
        }

    def directions(self) -> dict[str, str]:
        """Which is better of each value."""
        return dict(zip(self._names(), (*_BETTER, *_BETTER), strict=True))

    def protocols(self) -> dict[str, dict[str, Any]]:
        """The protocol of each value in a record, by its name."""
        protocol = {"luma": "BT.601, 16 to 235", "border": self.left_out}
        return {
            name: self.of_held_out(f"{type(self).__name__}.{name}", better, protocol)
            for name, better in self.directions().items()
        }

    def _names(self) -> list[str]:
        own = [f"{n}_{self.network.name}" if n == "perceptual" else n for n in _NAMES]
        return [*own, *(f"{name}_bicubic" for name in own)]


def luma(images: Tensor) -> Tensor:
    """The luma (N, 1, H, W), 16 to 235, of uint8 images (N, 1 or 3, H, W); of gray ones, they."""
    if images.shape[1] == 1:
        return images.float()
    weights = torch.tensor(_LUMA, device=images.device)[:, None, None] / 255
    return (images.float() * weights).sum(1, keepdim=True) + _FLOOR


def _rgb(images: Tensor) -> Tensor:
    return to_signed(images).expand(-1, 3, -1, -1)
