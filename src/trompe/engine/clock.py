"""The clock of training: it counts images shown to the discriminator, not optimizer steps."""

from typing import Any

from trompe.errors import UserError, check_count, check_positive, show

_LONGEST = 1e12  # kimg: no budget, but a number that was mistyped


class Clock:
    """Images seen so far, and everything measured in them.

    A *tick* is a fixed number of images, a whole number of global batches, and one Lightning
    epoch. Metrics, sample grids and checkpoints happen only at the end of a tick. The measure is
    that of StyleGAN and EDM (Karras et al. 2019, 2022): independent of batch size and GPU count.

    Args:
        kimg: training budget in thousands of images; rounded to whole ticks.
        tick_kimg: length of a tick in thousands of images; rounded to whole batches.
        batch_size: images in a *global* batch, over all processes.

    Raises:
        UserError: if one of them is not above 0 or is too large, or `batch_size` is no whole
            number.
    """

    def __init__(self, kimg: float, tick_kimg: float, batch_size: int) -> None:
        for key, value in (("kimg", kimg), ("tick_kimg", tick_kimg)):
            check_positive(key, value)
            if value > _LONGEST:
                raise UserError(f"{key}={show(value)} must be at most {_LONGEST:g}")
        check_count("batch_size", batch_size, most=2**20)
        self.batch_size = batch_size
        self.batches_per_tick = max(1, round(tick_kimg * 1000 / batch_size))
        self.ticks = max(1, round(kimg * 1000 / self.images_per_tick))
        self.images = 0

    @property
    def images_per_tick(self) -> int:
        """Images in one tick."""
        return self.batches_per_tick * self.batch_size

    @property
    def tick(self) -> int:
        """Whole ticks done so far."""
        return self.images // self.images_per_tick

    @property
    def batch(self) -> int:
        """Whole global batches done so far."""
        return self.images // self.batch_size

    @property
    def kimg(self) -> float:
        """Thousands of images seen so far."""
        return self.images / 1000

    @property
    def budget_kimg(self) -> float:
        """Thousands of images after which training ends."""
        return self.ticks * self.images_per_tick / 1000

    def advance(self) -> None:
        """One more global batch has been shown to the discriminator."""
        self.images += self.batch_size

    def is_due(self, every_kimg: float) -> bool:
        """Whether the tick that ends now is the first to reach another multiple of `every_kimg`.

        The last tick is always due, so that a run ends with its numbers and pictures.
        """
        if self.tick >= self.ticks:
            return True
        period = every_kimg * 1000
        return self.images // period > (self.images - self.images_per_tick) // period

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"images": self.images}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume at the image count of a checkpoint."""
        self.images = int(state["images"])
