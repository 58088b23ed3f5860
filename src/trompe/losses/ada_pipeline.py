"""The augmentations of Karras et al. 2020 (ADA), sec. 2.3 and appendix B, as pure functions.

Each group of operations takes uniform random numbers of its own and a probability, and gives one
map for each image: an inverse affine map of places, or a matrix of colors. Every operation is
applied to an image with that probability; where none is, the image stays as it is, exactly.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from trompe.errors import UserError
from trompe.losses.grid_sampling import copy_pixels, resample

_COLUMNS = (7, 11, 10, 3)  # random numbers of pixel, geometry, color, cutout
DRAWS = sum(_COLUMNS)
_STARTS = [0, *accumulate(_COLUMNS)]
_TINY = 2.0**-24  # the smallest step of random float32 numbers; 5.3 standard deviations
CUT = 0.5  # of each side


@dataclass(frozen=True)
class Groups:
    """What each group's probability is multiplied by, 0 to 1; 0 leaves a group out.

    Args:
        pixel: flips to the side, quarter turns, shifts by whole pixels, up to 1/8 of the side.
        geometry: scales of both axes and of one against the other, 2^N(0, 0.2), rotations before
            and after, shifts of N(0, 0.125) of the side.
        color: brightness N(0, 0.2), contrast 2^N(0, 0.5), luma flips, any hue, saturation 2^N(0,
            1); of images with one channel, brightness and contrast.
        cutout: a square of half of each side, centered anywhere in the image, is set to 0.
    """

    pixel: float = 1.0
    geometry: float = 1.0
    color: float = 1.0
    cutout: float = 0.0


def augmented(images: Tensor, uniform: Tensor, probability: Tensor, groups: Groups) -> Tensor:
    """Images (N, C, H, W) in [-1, 1] augmented; differentiable twice in them, of their type.

    Colors may leave the range, as in the paper.

    Args:
        images: of 1 or 3 channels.
        uniform: (N, DRAWS) in [0, 1).
        probability: () in [0, 1].
        groups: of operations.

    Raises:
        UserError: if images have another number of channels.
    """
    if images.shape[1] not in (1, 3):
        raise UserError(
            f"model.augment takes images of 1 or 3 channels, not of {images.shape[1]}: "
            "set model/augment=diffaugment or none"
        )
    last = not images.is_contiguous() and images.is_contiguous(memory_format=torch.channels_last)
    # Of lower precision, bilinear sampling would see other places.
    with torch.autocast(images.device.type, enabled=False):
        result = images if images.dtype == torch.float64 else images.float()
        shares = [probability * strength for strength in astuple(groups)]
        pixel, geometry, color, cutout = (uniform[:, start:end] for start, end in pairwise(_STARTS))
        result = _moved(result, pixel, geometry, shares, groups)
        if groups.color:
            result = _colored(result, color, shares[2])
        if groups.cutout:
            result = result * ~cutout_area(cutout, shares[3], *images.shape[-2:])[:, None]
    format_ = torch.channels_last if last else torch.contiguous_format
    return result.to(images.dtype).contiguous(memory_format=format_)


def _moved(
    images: Tensor, pixel: Tensor, geometry: Tensor, shares: list[Tensor], groups: Groups
) -> Tensor:
    height, width = images.shape[-2:]
    result, inverse = images, None
    if groups.pixel:
        inverse = pixel_map(pixel, shares[0], height, width)
        result = copy_pixels(images, inverse.to(images.dtype))
    if groups.geometry:
        geometric, applied = geometric_map(geometry, shares[1], height, width)
        inverse = geometric if inverse is None else _product(inverse, geometric)
        # Without the filter where pixels are only copied.
        resampled = resample(images, inverse.to(images.dtype))
        result = torch.where(applied[:, None, None, None], resampled, result)
    return result


def _colored(images: Tensor, uniform: Tensor, probability: Tensor) -> Tensor:
    matrix, offset, applied = color_map(uniform, probability, images.shape[1])
    matrix, offset = matrix.to(images.dtype), offset.to(images.dtype)
    colored = torch.baddbmm(offset[:, None, None], matrix, images.flatten(2))
    return torch.where(applied[:, None, None, None], colored.view_as(images), images)


class _Parameters:
    """Parameters of operations (N,): 0 where an operation's gate is closed, and changes nothing.

    Attributes:
        applied: (N,), whether any gate was open.
    """

    def __init__(self, uniform: Tensor, probability: Tensor) -> None:
        self._columns: Iterator[Tensor] = iter(uniform.float().unbind(1))
        self._probability = probability
        self.applied = torch.zeros_like(uniform[:, 0], dtype=torch.bool)

    def gate(self, probability: Tensor | None = None) -> None:
        """Decide for which images the parameters from here to the next gate are not 0."""
        share = self._probability if probability is None else probability
        self._open = next(self._columns) < share
        self.applied = self.applied | self._open

    def uniform(self, least: float, most: float) -> Tensor:
        """Between two numbers."""
        return (next(self._columns) * (most - least) + least) * self._open

    def normal(self, deviation: float) -> Tensor:
        """Around 0."""
        number: Tensor = torch.special.ndtri(next(self._columns).clamp(_TINY, 1 - _TINY))
        return number * deviation * self._open


def pixel_map(uniform: Tensor, probability: Tensor, height: int, width: int) -> Tensor:
    """Flip, quarter turn and shift of pixels: inverse maps (N, 3, 3), see `grid_sampling`.

    Args:
        uniform: (N, 7) in [0, 1).
        probability: () in [0, 1].
        height: of the images.
        width: of the images.
    """
    parameters = _Parameters(uniform, probability)
    parameters.gate()
    flip = 1 - 2 * parameters.uniform(0, 2).floor()
    parameters.gate()
    turn = parameters.uniform(0, 4).floor() * (math.pi / 2)
    parameters.gate()
    right = (parameters.uniform(-0.125, 0.125) * width).round()
    down = (parameters.uniform(-0.125, 0.125) * height).round()
    turned = _rotation(turn, torch.Tensor.round)
    return _product(_product(_scaling(flip, torch.ones_like(flip)), turned), _shift(right, down))


def geometric_map(
    uniform: Tensor, probability: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """Scale, rotation, stretch, rotation and shift: inverse maps (N, 3, 3), and where any is (N,).

    Args:
        uniform: (N, 11) in [0, 1).
        probability: () in [0, 1].
        height: of the images.
        width: of the images.
    """
    parameters = _Parameters(uniform, probability)
    # Two rotations: that either is applied has the probability of the other operations.
    rotation = 1 - (1 - probability).sqrt()
    parameters.gate()
    scale = torch.exp2(-parameters.normal(0.2))
    parameters.gate(rotation)
    before = parameters.uniform(-math.pi, math.pi)
    parameters.gate()
    stretch = torch.exp2(-parameters.normal(0.2))
    parameters.gate(rotation)
    after = parameters.uniform(-math.pi, math.pi)
    parameters.gate()
    right, down = parameters.normal(0.125) * width, parameters.normal(0.125) * height
    inverse = _product(_scaling(scale, scale), _rotation(before))
    inverse = _product(inverse, _scaling(stretch, 1 / stretch))
    inverse = _product(_product(inverse, _rotation(after)), _shift(right, down))
    return inverse, parameters.applied


def color_map(
    uniform: Tensor, probability: Tensor, channels: int = 3
) -> tuple[Tensor, Tensor, Tensor]:
    """Brightness, contrast, luma flip, hue and saturation as a linear map of colors.

    They are the homogeneous matrix [matrix, offset (1, 1, 1); 0, 1].

    Args:
        uniform: (N, 10) in [0, 1).
        probability: () in [0, 1].
        channels: 3, or 1: then there are brightness and contrast alone.

    Returns:
        Matrices (N, channels, channels), offsets (N,) of all channels, where any is applied (N,).
    """
    parameters = _Parameters(uniform, probability)
    parameters.gate()
    brightness = parameters.normal(0.2)
    parameters.gate()
    contrast = torch.exp2(parameters.normal(0.5))
    if channels == 1:
        return contrast[:, None, None], contrast * brightness, parameters.applied
    parameters.gate()
    flip = 1 - 2 * parameters.uniform(0, 2).floor()
    parameters.gate()
    hue = parameters.uniform(-math.pi, math.pi)
    parameters.gate()
    saturation = torch.exp2(parameters.normal(1.0))
    # All four are linear, and map the gray axis and the plane across it to themselves: a flip of
    # the one, a rotation and a scale of the other. So they commute, and need no product.
    gray = torch.full((3, 3), 1 / 3, device=uniform.device)
    across = torch.eye(3, device=uniform.device) - gray
    turn = (across.roll(1, 0) - across.roll(-1, 0)) / math.sqrt(3)  # a cross product with the axis
    flip, hue, saturation = (x[:, None, None] for x in (flip, hue, saturation))
    matrix = flip * gray + saturation * (hue.cos() * across + hue.sin() * turn)
    offset = contrast * brightness * flip[:, 0, 0]
    return contrast[:, None, None] * matrix, offset, parameters.applied


def cutout_area(uniform: Tensor, probability: Tensor, height: int, width: int) -> Tensor:
    """Which pixels (N, H, W) of images are cut out.

    Args:
        uniform: (N, 3) in [0, 1): the gate, and the center right and down.
        probability: () in [0, 1].
        height: of the images.
        width: of the images.
    """
    gate, right, down = uniform.float().unbind(1)
    rows, columns = (
        ((torch.arange(side, device=uniform.device) + 0.5) / side - center[:, None]).abs() < CUT / 2
        for side, center in ((height, down), (width, right))
    )
    return rows[:, :, None] & columns[:, None] & (gate < probability)[:, None, None]


def _scaling(across: Tensor, down: Tensor) -> Tensor:
    zero = torch.zeros_like(across)
    return _affine(across, zero, zero, down, zero, zero)


def _rotation(angle: Tensor, rounded: Callable[[Tensor], Tensor] = torch.clone) -> Tensor:
    """Places turned right to down, which turns the image the other way."""
    cos, sin, zero = rounded(angle.cos()), rounded(angle.sin()), torch.zeros_like(angle)
    return _affine(cos, -sin, sin, cos, zero, zero)


def _shift(right: Tensor, down: Tensor) -> Tensor:
    """Of the image, so of the places the other way."""
    zero, one = torch.zeros_like(right), torch.ones_like(right)
    return _affine(one, zero, zero, one, -right, -down)


def _affine(a: Tensor, b: Tensor, c: Tensor, d: Tensor, x: Tensor, y: Tensor) -> Tensor:
    zero, one = torch.zeros_like(a), torch.ones_like(a)
    return torch.stack([a, b, x, c, d, y, zero, zero, one], dim=1).view(-1, 3, 3)


def _product(first: Tensor, second: Tensor) -> Tensor:
    """The maps first @ second, by plain sums: a GPU's matrix units would round places."""
    return (first[:, :, :, None] * second[:, None]).sum(2)
