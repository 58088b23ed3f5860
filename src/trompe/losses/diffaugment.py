"""Differentiable augmentation of what the discriminator sees (Zhao et al. 2020, DiffAugment).

The transforms are pure functions of images (N, C, H, W) in [-1, 1] and of random numbers `uniform`
(N, 3) in [0, 1), so that the caller decides where randomness comes from. All are differentiable in
the images, twice, and keep the images' type. Strengths are those of the paper's published code.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from trompe.engine.share import Share

Transform = Callable[[Tensor, Tensor], Tensor]
DRAWS = 3  # random numbers per image that every transform is given


class Augment(nn.Module):
    """Augmentation of everything a discriminator sees; none, unless a subclass adds it.

    Attributes:
        draws: random numbers needed for each image; 0 if nothing is augmented.
        reads_signs: whether `observe` takes a logit above 0 for "real".
    """

    draws: int = 0
    reads_signs: bool = False

    def forward(self, images: Tensor, uniform: Tensor) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] augmented by `uniform` (N, draws) in [0, 1)."""
        return images

    def prepare(self, kimg: float) -> None:
        """Get ready for a batch: what follows a schedule is brought up to date."""

    def values(self) -> dict[str, Tensor]:
        """Numbers of this batch to record, by name; the same names in every batch."""
        return {}

    def observe(self, real_logits: Tensor, share: Share) -> None:
        """Look at the logits of augmented real images, and adapt. Once in a batch.

        What it keeps of them must be the same on all processes: `share.mean`. It belongs in a
        buffer, so that a checkpoint holds it.

        Args:
            real_logits: of this process's images.
            share: of the global batch.
        """


class DiffAugment(Augment):
    """Transforms one after the other.

    Args:
        transforms: functions of (images, uniform).
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        super().__init__()
        self.transforms = list(transforms)
        self.draws = DRAWS * len(self.transforms)

    def forward(self, images: Tensor, uniform: Tensor) -> Tensor:
        """Images (N, C, H, W) augmented by `uniform` (N, draws)."""
        for index, transform in enumerate(self.transforms):
            images = transform(images, uniform[:, index * DRAWS : (index + 1) * DRAWS])
        return images


def brightness_saturation_contrast(images: Tensor, uniform: Tensor) -> Tensor:
    """The paper's "color": brightness +-0.5, saturation x[0, 2], contrast x[0.5, 1.5].

    Saturation scales the distance to each pixel's gray (the mean over channels), contrast that to
    the image's mean; uniform (N, 3) holds brightness, saturation, contrast, and 0.5 is identity.
    """
    brightness, saturation, contrast = uniform.to(images.dtype)[:, :, None, None, None].unbind(1)
    brightness, saturation, contrast = brightness - 0.5, saturation * 2, contrast + 0.5
    gray = images.mean(dim=1, keepdim=True)
    mean = gray.mean(dim=(2, 3), keepdim=True)
    # The three steps are affine in x, and saturation keeps the mean: one pass does them all.
    offset = contrast * (1 - saturation) * gray + ((1 - contrast) * mean + brightness)
    return torch.addcmul(offset, images, contrast * saturation)


def translate(images: Tensor, uniform: Tensor, ratio: float = 0.125) -> Tensor:
    """Shift by whole pixels, up to `ratio` of the side in both directions; zeros move in.

    The first two columns of uniform (N, 2 or more) move the window over the image down and right:
    at 0 the content moves down and right by the most. The result is channels last.
    """
    count, channels, height, width = images.shape
    reach_y, reach_x = _pixels(height, ratio), _pixels(width, ratio)
    padded = pad(images, (reach_x, reach_x, reach_y, reach_y))
    top = _integers(uniform[:, 0], 2 * reach_y + 1)
    left = _integers(uniform[:, 1], 2 * reach_x + 1)
    item = torch.arange(count, device=images.device) * padded.shape[2]
    rows = (item + top)[:, None] + torch.arange(height, device=images.device)
    columns = left[:, None] + torch.arange(width, device=images.device)
    pixels = rows[:, :, None] * padded.shape[3] + columns[:, None, :]
    # As a list of pixels: one gather copies whole pixels, and none is copied twice.
    shifted = padded.permute(0, 2, 3, 1).reshape(-1, channels).index_select(0, pixels.flatten())
    return shifted.view(count, height, width, channels).permute(0, 3, 1, 2)


def cutout(images: Tensor, uniform: Tensor, ratio: float = 0.5) -> Tensor:
    """Set a rectangle of `ratio` of each side, centered anywhere in the image, to zero.

    The first two columns of uniform (N, 2 or more) place the center down and right; what lies
    beyond the border is lost, so less is cut there.
    """
    height, width = images.shape[-2:]
    rows = _span(uniform[:, 0], height, ratio)
    columns = _span(uniform[:, 1], width, ratio)
    inside = rows[:, None, :, None] & columns[:, None, None, :]
    return images * ~inside


def _span(uniform: Tensor, side: int, ratio: float) -> Tensor:
    """Per image, which of `side` positions lie in a span of `ratio * side` around a center."""
    length = _pixels(side, ratio)
    start = _integers(uniform, side + 1 - length % 2) - length // 2
    position = torch.arange(side, device=uniform.device)
    return (position >= start[:, None]) & (position < start[:, None] + length)


def _pixels(side: int, ratio: float) -> int:
    """`ratio * side` rounded half up, as in the paper's code; round() would turn 2.5 into 2."""
    return int(side * ratio + 0.5)


def _integers(uniform: Tensor, count: int) -> Tensor:
    """Numbers in [0, 1) to integers in [0, count)."""
    return (uniform.float() * count).long().clamp_(max=count - 1)
