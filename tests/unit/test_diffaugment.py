"""Differentiable augmentation against per-image references with plain loops."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from trompe.losses.diffaugment import (
    DiffAugment,
    brightness_saturation_contrast,
    cutout,
    translate,
)

Transform = Callable[[Tensor, Tensor], Tensor]
EVERY_TRANSFORM = pytest.mark.parametrize(
    "transform", [brightness_saturation_contrast, translate, cutout]
)
EVERY_SIZE = pytest.mark.parametrize(
    ("channels", "height", "width"), [(3, 16, 16), (1, 28, 28), (3, 17, 12), (3, 5, 20)]
)


def images(channels: int = 3, height: int = 16, width: int = 16, count: int = 9) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, height, width, generator=generator) * 2 - 1


def draws(count: int = 9, columns: int = 3) -> Tensor:
    """Random numbers with both ends of [0, 1) among them."""
    uniform = torch.rand(count, columns, generator=torch.Generator().manual_seed(1))
    uniform[0], uniform[1] = 0, 1 - 2**-24
    return uniform


def color_reference(image: Tensor, uniform: Tensor) -> Tensor:
    brightness, saturation, contrast = uniform.double().tolist()
    image = image.double() + (brightness - 0.5)
    gray = sum(image) / len(image)
    image = torch.stack([gray + (channel - gray) * saturation * 2 for channel in image])
    return image.mean() + (image - image.mean()) * (contrast + 0.5)


def translate_reference(image: Tensor, uniform: Tensor, ratio: float) -> Tensor:
    _, height, width = image.shape
    reach_y, reach_x = int(height * ratio + 0.5), int(width * ratio + 0.5)
    down = int(float(uniform[0]) * (2 * reach_y + 1)) - reach_y
    right = int(float(uniform[1]) * (2 * reach_x + 1)) - reach_x
    out = torch.zeros_like(image)
    for y in range(height):
        for x in range(width):
            if 0 <= y + down < height and 0 <= x + right < width:
                out[:, y, x] = image[:, y + down, x + right]
    return out


def cutout_reference(image: Tensor, uniform: Tensor, ratio: float) -> Tensor:
    _, height, width = image.shape
    tall, wide = int(height * ratio + 0.5), int(width * ratio + 0.5)
    top = int(float(uniform[0]) * (height + 1 - tall % 2)) - tall // 2
    left = int(float(uniform[1]) * (width + 1 - wide % 2)) - wide // 2
    out = image.clone()
    for y in range(max(top, 0), min(top + tall, height)):
        for x in range(max(left, 0), min(left + wide, width)):
            out[:, y, x] = 0
    return out


@EVERY_SIZE
def test_color_equals_its_reference(channels: int, height: int, width: int) -> None:
    x, uniform = images(channels, height, width), draws()
    expected = [color_reference(*pair) for pair in zip(x, uniform, strict=True)]
    result = brightness_saturation_contrast(x, uniform).double()
    torch.testing.assert_close(result, torch.stack(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("ratio", [0.125, 0.3])
@EVERY_SIZE
def test_translation_equals_its_reference(
    channels: int, height: int, width: int, ratio: float
) -> None:
    x, uniform = images(channels, height, width), draws()
    expected = [translate_reference(*pair, ratio) for pair in zip(x, uniform, strict=True)]
    assert torch.equal(translate(x, uniform, ratio=ratio), torch.stack(expected))


@pytest.mark.parametrize("ratio", [0.5, 0.2])
@EVERY_SIZE
def test_cutout_equals_its_reference(channels: int, height: int, width: int, ratio: float) -> None:
    x, uniform = images(channels, height, width), draws()
    expected = [cutout_reference(*pair, ratio) for pair in zip(x, uniform, strict=True)]
    assert torch.equal(cutout(x, uniform, ratio=ratio), torch.stack(expected))


def test_color_in_the_middle_of_its_ranges_is_identity() -> None:
    x = images()
    result = brightness_saturation_contrast(x, torch.full((len(x), 3), 0.5))
    torch.testing.assert_close(result, x, rtol=0, atol=1e-6)


def test_saturation_of_zero_leaves_gray() -> None:
    x, uniform = images(), torch.tensor([[0.5, 0.0, 0.5]]).expand(9, 3)
    result = brightness_saturation_contrast(x, uniform)
    torch.testing.assert_close(result, x.mean(dim=1, keepdim=True).expand_as(x))


def test_translation_shifts_and_pads_with_zeros() -> None:
    x = images(height=16, width=16, count=1)
    shifted = translate(x, torch.tensor([[0.0, 0.5]]))  # 2 pixels down, none sideways
    assert torch.equal(shifted[:, :, 2:], x[:, :, :-2])
    assert not shifted[:, :, :2].any()
    shifted = translate(x, torch.tensor([[0.5, 0.999]]))  # none down, 2 pixels left
    assert torch.equal(shifted[..., :-2], x[..., 2:])
    assert not shifted[..., -2:].any()


def test_translations_are_uniform_over_their_range() -> None:
    count = 5000
    x = torch.zeros(count, 1, 16, 16)
    x[:, :, 8, 8] = 1
    uniform = torch.rand(count, 2, generator=torch.Generator().manual_seed(2))
    found = translate(x, uniform).nonzero()
    for positions in (found[:, 2], found[:, 3]):
        counts = torch.bincount(positions, minlength=16)
        assert counts[6:11].sum() == count
        assert ((counts[6:11] / count - 0.2).abs() < 0.03).all()


def test_cutout_area() -> None:
    x = torch.ones(3, 3, 16, 16)
    middle, corner, edge = (0.5, 0.5), (0.0, 0.0), (0.5, 0.999)
    cut = (cutout(x, torch.tensor([middle, corner, edge])) == 0).sum(dim=(2, 3))
    assert cut.tolist() == [[64] * 3, [16] * 3, [32] * 3]


@EVERY_TRANSFORM
def test_equal_numbers_augment_alike_and_others_do_not(transform: Transform) -> None:
    x, uniform = images(count=1).expand(9, -1, -1, -1), draws()
    assert torch.equal(transform(x, uniform), transform(x, uniform.clone()))
    same = transform(x, uniform[:1].expand(9, -1))
    assert all(torch.equal(same[0], other) for other in same)
    different = transform(x, uniform)
    assert not torch.equal(different[0], different[1])


@EVERY_TRANSFORM
def test_images_are_augmented_independently(transform: Transform) -> None:
    x, uniform = images(), draws()
    alone = [transform(x[i : i + 1], uniform[i : i + 1]) for i in range(len(x))]
    torch.testing.assert_close(transform(x, uniform), torch.cat(alone))


@EVERY_TRANSFORM
def test_derivatives_are_right_twice(transform: Transform) -> None:
    x = images(height=4, width=5, count=2).double().requires_grad_()
    uniform = torch.tensor([[0.1, 0.7, 0.3], [0.8, 0.2, 0.6]], dtype=torch.double)
    assert torch.autograd.gradcheck(transform, (x, uniform))
    assert torch.autograd.gradgradcheck(transform, (x, uniform))


@EVERY_TRANSFORM
def test_type_and_memory_format_are_kept(transform: Transform) -> None:
    x, uniform = images(height=17, width=12), draws()
    expected = transform(x, uniform)
    last = transform(x.contiguous(memory_format=torch.channels_last), uniform)
    assert last.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(last, expected)
    low = transform(x.bfloat16(), uniform)
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), expected, rtol=0.02, atol=0.05)


# The composition


def test_transforms_are_applied_in_order_with_their_own_numbers() -> None:
    augment = DiffAugment([brightness_saturation_contrast, translate, partial(cutout, ratio=0.2)])
    assert augment.draws == 9
    x, uniform = images(), draws(columns=9)
    expected = brightness_saturation_contrast(x, uniform[:, :3])
    expected = translate(expected, uniform[:, 3:6])
    expected = cutout(expected, uniform[:, 6:], ratio=0.2)
    assert torch.equal(augment(x, uniform), expected)
    x.requires_grad_()
    augment(x, uniform).sum().backward()
    assert x.grad is not None and x.grad.any()


def test_without_transforms_images_are_unchanged() -> None:
    augment = DiffAugment([])
    assert augment.draws == 0
    x = images()
    assert augment(x, torch.empty(9, 0)) is x
