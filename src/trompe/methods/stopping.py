"""When to stop an optimization that first finds the picture and then its faults."""

import math

import torch
from torch import Tensor, nn

from trompe.errors import Count, UserError, check_count, is_number, show


class Stopping(nn.Module):
    """Stop where the outputs vary the least: Wang et al. 2023, https://arxiv.org/abs/2112.06074.

    Outputs in [0, 1] settle around the picture before they begin to follow its noise. A subclass
    says by which variance; nothing here needs the good picture.

    Args:
        shape: of an output, (N, C, H, W).
        patience: iterations without a smaller variance after which it is settled; None: never, and
            the budget is used up.

    Attributes:
        least: the smallest variance yet.
        at: iterations done when it was found; 0: none yet.
        seen: iterations done.
        image: what was kept then, of that shape.

    Raises:
        UserError: if the patience is not a number above 0.
    """

    least: Tensor
    at: Tensor
    seen: Tensor
    image: Tensor

    def __init__(self, shape: tuple[int, ...], patience: int | None) -> None:
        super().__init__()
        if patience is not None:
            check_count("model.stopping.patience", patience)
        self.patience = patience
        # No outputs in [0, 1] vary more.
        self.register_buffer("least", torch.tensor(1.0, dtype=torch.float64))
        self.register_buffer("at", torch.tensor(0))
        self.register_buffer("seen", torch.tensor(0))
        self.register_buffer("image", torch.zeros(shape))

    def variance(self, output: Tensor, number: int) -> Tensor:
        """The variance after output `number`, from 0, a scalar; infinite while it is too early."""
        raise NotImplementedError

    @torch.no_grad()
    def watch(self, output: Tensor, image: Tensor, number: int) -> Tensor:
        """Take note of an iteration; returns the variance. Does not wait for the device.

        Args:
            output: of the network.
            image: is kept if the variance is the smallest yet.
            number: iterations done before.
        """
        variance = self.variance(output.float(), number)
        is_least = variance < self.least
        self.seen.fill_(number + 1)
        self.least.copy_(torch.where(is_least, variance, self.least))
        self.at.copy_(torch.where(is_least, self.seen, self.at))
        self.image.copy_(torch.where(is_least, image, self.image))
        return variance

    @property
    def is_settled(self) -> bool:
        """Whether the variance has not become smaller for as long as the patience lasts."""
        if self.patience is None or not int(self.at):
            return False
        return int(self.seen - self.at) >= self.patience


class WindowedVariance(Stopping):
    """The variance of the last outputs, pixel by pixel, and its mean: ES-WMV, Algorithm 1.

    Keeps a window of outputs in float16: 2 bytes for each value of each.

    Args:
        shape: of an output.
        patience: see `Stopping`.
        window: number of outputs.

    Raises:
        UserError: if the window has fewer than two.
    """

    outputs: Tensor
    total: Tensor
    squares: Tensor

    def __init__(self, shape: tuple[int, ...], patience: int | None, window: Count) -> None:
        super().__init__(shape, patience)
        check_count("model.stopping.window", window, 2)
        self.register_buffer("outputs", torch.zeros((window, *shape), dtype=torch.float16))
        self.register_buffer("total", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("squares", torch.zeros((), dtype=torch.float64))

    def variance(self, output: Tensor, number: int) -> Tensor:
        """See `Stopping`."""
        window = len(self.outputs)
        place = self.outputs[number % window]
        rounded = output.half()
        new, old = rounded.double(), place.double()
        self.total += new - old
        self.squares += new.square().sum() - old.square().sum()
        place.copy_(rounded)
        if number + 1 < window:
            return torch.full_like(self.least, math.inf)
        return (
            self.squares / (window * new.numel()) - (self.total / window).square().mean()
        ).clamp(min=0)


class ExponentialVariance(Stopping):
    """An exponentially weighted variance: ES-EMV, section 2.3. For large pictures: no window.

    Args:
        shape: of an output.
        patience: see `Stopping`.
        weight: of the newest output, 0.1 in the paper.

    Raises:
        UserError: if the weight is not between 0 and 1.
    """

    mean: Tensor
    value: Tensor

    def __init__(self, shape: tuple[int, ...], patience: int | None, weight: float) -> None:
        super().__init__(shape, patience)
        if not is_number(weight) or not 0 < weight < 1:
            raise UserError(f"model.stopping.weight={show(weight)} must be between 0 and 1")
        self.weight = weight
        # Until then what came first counts for more than a hundredth.
        self.earliest = math.ceil(math.log(0.01) / math.log(1 - weight))
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("value", torch.zeros((), dtype=torch.float64))

    def variance(self, output: Tensor, number: int) -> Tensor:
        """See `Stopping`."""
        if number == 0:
            self.mean.copy_(output)
        apart = (output - self.mean).square().mean().double()
        self.mean.lerp_(output, self.weight)
        self.value.copy_((1 - self.weight) * (self.value + self.weight * apart))
        return self.value if number >= self.earliest else torch.full_like(self.value, math.inf)
