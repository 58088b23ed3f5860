"""Adaptive discriminator augmentation (Karras et al. 2020, https://arxiv.org/abs/2006.06676).

The paper's augmentations (`trompe.losses.ada_pipeline`) with a probability that is raised while
the discriminator overfits, or that follows a schedule.
"""

import torch
from torch import Tensor

from trompe.engine.schedules import Number, Schedule, value_at
from trompe.engine.share import Share
from trompe.errors import UserError, check_count, check_positive, is_number, show
from trompe.losses.ada_pipeline import DRAWS, Groups, augmented
from trompe.losses.diffaugment import Augment


class PipelineAugment(Augment):
    """The paper's augmentations, each with the same probability for every image.

    Args:
        pixel: multiplies the probability of flips, quarter turns and shifts by whole pixels, 0 to
            1; 0 leaves them out.
        geometry: the same of scales, rotations and other shifts.
        color: the same of brightness, contrast, luma flips, hue and saturation.
        cutout: the same of a square set to 0.

    Attributes:
        probability: (), in [0, 1].

    Raises:
        UserError: if a multiplier is not in [0, 1].
    """

    draws = DRAWS
    probability: Tensor

    def __init__(
        self, pixel: float = 1, geometry: float = 1, color: float = 1, cutout: float = 0
    ) -> None:
        super().__init__()
        self.groups = Groups(pixel, geometry, color, cutout)
        for name, strength in vars(self.groups).items():
            _check_share(f"model.augment.{name}", strength)
        self.register_buffer("probability", torch.zeros(()))

    def forward(self, images: Tensor, uniform: Tensor) -> Tensor:
        """Images (N, C, H, W) in [-1, 1], C 1 or 3, augmented by `uniform` (N, draws).

        Raises:
            UserError: if C is another number.
        """
        return augmented(images, uniform, self.probability, self.groups)

    def values(self) -> dict[str, Tensor]:
        """See `Augment`."""
        return {"probability": self.probability}


class ScheduledAugment(PipelineAugment):
    """The same with a probability that is a number, or follows a schedule.

    Args:
        probability: in [0, 1].
        groups: see `PipelineAugment`.

    Raises:
        UserError: if the probability is not in [0, 1]; of a schedule, in training.
    """

    def __init__(self, probability: Number, **groups: float) -> None:
        super().__init__(**groups)
        if not isinstance(probability, Schedule):
            _check_share("model.augment.probability", probability, " or a schedule")
        self.followed = probability

    def prepare(self, kimg: float) -> None:
        """See `Augment`."""
        now = value_at(self.followed, kimg)
        _check_share("model.augment.probability", now)
        self.probability.fill_(now)


class AdaptiveAugment(PipelineAugment):
    """The same with a probability that adapts (sec. 3).

    r_t = E[sign(D(real))] is 0 as long as the discriminator cannot tell real images, and 1 once it
    is sure of all of them. The probability rises while r_t is above a target, else falls.

    Args:
        target: of r_t, between -1 and 1.
        ada_kimg: thousands of images in which the probability rises from 0 to 1 at most.
        every: number of batches after which it changes; r_t is their mean.
        limit: the highest probability, in [0, 1].
        groups: see `PipelineAugment`.

    Raises:
        UserError: if one of them is out of its range.
    """

    reads_signs = True
    signs: Tensor
    images: Tensor
    batches: Tensor

    def __init__(
        self, target: float, ada_kimg: float, every: int, limit: float, **groups: float
    ) -> None:
        super().__init__(**groups)
        if not is_number(target) or not -1 < target < 1:
            raise UserError(
                f"model.augment.target={show(target)} must be a number between -1 and 1"
            )
        check_positive("model.augment.ada_kimg", ada_kimg)
        check_count("model.augment.every", every)
        _check_share("model.augment.limit", limit)
        self.target, self.ada_kimg, self.every, self.limit = target, ada_kimg, every, limit
        # Since the last change: whole numbers, which add up to the same on any processes.
        for name in ("signs", "images", "batches"):
            self.register_buffer(name, torch.zeros((), dtype=torch.long))

    def observe(self, real_logits: Tensor, share: Share) -> None:
        """See `Augment`."""
        signs = share.mean(real_logits.detach().float().sign().sum()) * share.world_size
        self.signs += signs.round().long()
        self.images += len(real_logits) * share.world_size
        self.batches += 1
        # No `if`, which would wait for the device.
        due = self.batches >= self.every
        change = (self.signs / self.images - self.target).sign() * self.images
        changed = self.probability + change / (self.ada_kimg * 1000)
        self.probability.copy_(torch.where(due, changed.clamp(0, self.limit), self.probability))
        for sum_ in (self.signs, self.images, self.batches):
            sum_.masked_fill_(due, 0)


def _check_share(key: str, value: object, more: str = "") -> None:
    """Refuse anything but a number from 0 to 1.

    Raises:
        UserError: naming the config's `key`.
    """
    if not is_number(value) or not 0 <= value <= 1:  # type: ignore[operator]
        raise UserError(f"{key}={show(value)} must be a number from 0 to 1{more and ','}{more}")
