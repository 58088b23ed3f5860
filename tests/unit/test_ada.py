"""ADA's augmentations against hand-written references, and what their probability follows."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from trompe.engine.schedules import Linear
from trompe.engine.share import Share
from trompe.errors import UserError
from trompe.losses.ada import AdaptiveAugment, ScheduledAugment
from trompe.losses.ada_pipeline import DRAWS, Groups, augmented, geometric_map, pixel_map
from trompe.losses.grid_sampling import copy_pixels, resample

HALF = torch.tensor(0.5)
# Of each operation: the column of its gate; its parameters' come after it.
GATES = {
    **{"flip": 0, "turn": 2, "shift": 4},
    **{"scale": 7, "before": 9, "stretch": 11, "after": 13, "move": 15},
    **{"brightness": 18, "contrast": 20, "luma": 22, "hue": 24, "saturation": 26, "cutout": 28},
}
EVERYTHING = Groups(cutout=1)


def images(channels: int = 3, height: int = 16, width: int = 16, count: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, height, width, generator=generator) * 2 - 1


def draws(count: int = 4, seed: int = 1) -> Tensor:
    """Random numbers with both ends of [0, 1) among them."""
    uniform = torch.rand(count, DRAWS, generator=torch.Generator().manual_seed(seed))
    uniform[0], uniform[1] = 0, 1 - 2**-24
    return uniform


def only(count: int = 4, **operations: Any) -> Tensor:
    """Numbers (count, DRAWS) that apply these operations alone, at a probability of 0.5."""
    uniform = torch.full((count, DRAWS), 0.9)
    for name, numbers in operations.items():
        start = GATES[name]
        uniform[:, start] = 0.0
        for i, number in enumerate(numbers if isinstance(numbers, tuple) else (numbers,)):
            uniform[:, start + 1 + i] = number
    return uniform


def normal(z: float) -> float:
    """The uniform number that stands for the standard normal number z."""
    return 0.5 * (1 + math.erf(z / math.sqrt(2)))


def apply(x: Tensor, groups: Groups = EVERYTHING, **operations: Any) -> Tensor:
    return augmented(x, only(len(x), **operations), HALF, groups)


def reflected(pixel: int, side: int) -> int:
    """Back and forth, step by step: 2 1 0 1 2 for pixels -2 to 2."""
    place, step = 0, 1
    for _ in range(abs(pixel)):
        if not 0 <= place + step < side:
            step = -step
        place += step
    return place if pixel >= 0 else abs(pixel) if abs(pixel) < side else place


def waves(height: int, width: int) -> Any:
    """A smooth image that is its own reflection, at any place in pixels: a sum of cosines."""

    def at(x: Tensor, y: Tensor) -> Tensor:
        x, y = x * math.pi / (width - 1), y * math.pi / (height - 1)
        return 0.4 * (2 * x).cos() * y.cos() + 0.3 * (3 * y).cos() + 0.2 * x.cos()

    return at


def places(height: int, width: int) -> tuple[Tensor, Tensor]:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return x.double() - (width - 1) / 2, y.double() - (height - 1) / 2


# What is not augmented


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_probability_of_0_changes_nothing(channels: int, dtype: torch.dtype) -> None:
    x = images(channels, 17, 12).to(dtype)
    result = augmented(x, draws(), torch.tensor(0.0), EVERYTHING)
    assert torch.equal(result, x) and result.dtype == dtype


def test_what_is_left_out_changes_nothing() -> None:
    x = images()
    certain = torch.tensor(1.0)
    assert torch.equal(augmented(x, draws(), certain, Groups(0, 0, 0, 0)), x)
    for name in ("pixel", "geometry", "color", "cutout"):
        alone = Groups(**{**dict.fromkeys(("pixel", "geometry", "color"), 0), name: 1})
        assert not torch.equal(augmented(x, draws(), certain, alone), x)
    half = augmented(x, draws(), certain, Groups(0, 0, 0.5, 0))
    assert torch.equal(half, augmented(x, draws(), HALF, Groups(0, 0, 1, 0)))


def test_untouched_images_are_not_filtered() -> None:
    x = images()
    uniform = only()
    uniform[1:3] = only(2, before=0.7, hue=0.2)
    result = augmented(x, uniform, HALF, EVERYTHING)
    assert torch.equal(result[[0, 3]], x[[0, 3]])
    assert not torch.isclose(result[[1, 2]], x[[1, 2]]).all(dim=(1, 2, 3)).any()


# Pixels


@pytest.mark.parametrize(("height", "width"), [(16, 16), (15, 15), (17, 12)])
def test_flips_are_exact(height: int, width: int) -> None:
    x = images(height=height, width=width)
    assert torch.equal(apply(x, flip=0.6), x.flip(-1))
    assert torch.equal(apply(x, flip=0.4), x)


@pytest.mark.parametrize("side", [16, 15])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_quarter_turns_are_exact(side: int, turns: int) -> None:
    x = images(height=side, width=side)
    assert torch.equal(apply(x, turn=turns / 4 + 0.1), x.rot90(turns, (2, 3)))


@pytest.mark.parametrize(("right", "down"), [(0.0, 0.99), (0.5, 0.2), (0.999, 0.001)])
@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 12), (40, 24)])
def test_shifts_are_rolls_with_reflection(
    height: int, width: int, right: float, down: float
) -> None:
    x = images(height=height, width=width)
    by_x, by_y = round((right - 0.5) / 4 * width), round((down - 0.5) / 4 * height)
    result = apply(x, shift=(right, down))
    for i in range(height):
        for j in range(width):
            source = x[:, :, reflected(i - by_y, height), reflected(j - by_x, width)]
            assert torch.equal(result[:, :, i, j], source)


def test_pixel_operations_come_one_after_the_other() -> None:
    x = images()
    expected = apply(apply(apply(x, flip=0.6), turn=0.3), shift=(0.9, 0.3))
    result = apply(x, flip=0.6, turn=0.3, shift=(0.9, 0.3))
    inner = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    assert torch.equal(result[inner], expected[inner])


def test_shifts_go_up_to_an_eighth_of_the_side() -> None:
    uniform = draws(5000)[:, :7]
    uniform[:, [0, 2]] = 1  # closed
    shifts = pixel_map(uniform, torch.tensor(1.0), 64, 32)[:, :2, 2].abs().amax(0)
    assert shifts.tolist() == [4, 8]


# Geometry

SIZES = pytest.mark.parametrize(("height", "width"), [(64, 64), (49, 64)])


@SIZES
@pytest.mark.parametrize(
    "operations",
    [
        {"scale": 0.8},
        {"before": 0.1},
        {"stretch": -1.2},
        {"after": 0.33},
        {"move": (0.5, -0.8)},
        {"scale": -0.7, "before": 0.21, "stretch": 0.9, "after": -0.4, "move": (0.3, 1.1)},
        {"flip": 1, "turn": 1, "scale": 0.5, "before": 0.1, "move": (0.2, 0.3)},
    ],
    ids=["scale", "before", "stretch", "after", "move", "all", "with_pixels"],
)
def test_geometry_equals_its_formula(height: int, width: int, operations: dict[str, Any]) -> None:
    if "turn" in operations:
        height = width  # where a quarter turn takes pixels to pixels
    f = waves(height, width)
    x, y = places(height, width)
    center_x, center_y = (width - 1) / 2, (height - 1) / 2
    image = f(x + center_x, y + center_y).float().expand(1, 1, -1, -1)
    numbers: dict[str, Any] = {}
    # Where the result's places come from: the last operation is undone first.
    if "move" in operations:
        right, down = operations["move"]
        numbers["move"] = (normal(right), normal(down))
        x, y = x - 0.125 * right * width, y - 0.125 * down * height
    for name in ("after", "stretch", "before", "scale"):
        if name not in operations:
            continue
        amount = operations[name]
        if name in ("before", "after"):
            numbers[name] = (amount + 0.5) % 1  # a share of a full circle
            angle = 2 * math.pi * amount
            x, y = (
                x * math.cos(angle) - y * math.sin(angle),
                x * math.sin(angle) + y * math.cos(angle),
            )
        else:
            numbers[name] = normal(amount)
            factor = 2 ** (0.2 * amount)
            x, y = x / factor, y / factor if name == "scale" else y * factor
    if "turn" in operations:
        x, y = -y, x
        numbers["turn"] = 0.3
    if "flip" in operations:
        x = -x
        numbers["flip"] = 0.6
    expected = f(x + center_x, y + center_y).float()
    error = (apply(image, **numbers)[0, 0] - expected).abs()
    assert error.max() < 0.01 and error.mean() < 0.002


def test_a_rotation_by_a_quarter_is_a_quarter_turn() -> None:
    y, x = places(32, 32)
    image = (x / 8 + 1).sin() * (y / 6).cos() * 0.8
    image = image.float().expand(1, 3, -1, -1)
    for name in ("before", "after"):
        torch.testing.assert_close(
            apply(image, **{name: 0.75}), image.rot90(1, (2, 3)), rtol=0, atol=0.02
        )


def test_resampling_without_a_map_is_the_identity() -> None:
    for size in ((64, 64), (17, 12), (2, 3), (1, 1)):
        x = images(height=size[0], width=size[1]).double()
        same = torch.eye(3, dtype=torch.double).expand(4, 3, 3)
        torch.testing.assert_close(resample(x, same), x, rtol=0, atol=1e-9)
        assert torch.equal(copy_pixels(x, same), x)


def test_beyond_the_border_images_are_reflected() -> None:
    x = images(height=9, width=7, count=1).double()
    for by in (-23, -8, 5, 40):
        shift = torch.tensor([[[1, 0, by], [0, 1, 0], [0, 0, 1]]], dtype=torch.double)
        expected = torch.stack([x[..., reflected(j + by, 7)] for j in range(7)], dim=-1)
        assert torch.equal(copy_pixels(x, shift), expected)


def test_what_is_too_fine_for_the_result_is_filtered_out() -> None:
    # 0.4 periods a pixel become 0.64: sampled alone, they look like 0.36.
    wave = (torch.arange(64) * 0.8 * math.pi).sin().expand(1, 1, 64, -1)
    smaller = torch.diag(torch.tensor([1.6, 1.6, 1.0]))[None]
    places = (torch.arange(64) - 31.5) * 1.6
    inside = (slice(None), slice(None), slice(20, 44), slice(20, 44))
    alone = (0.8 * math.pi * (places + 31.5)).sin().expand(1, 1, 64, -1)[inside]
    assert resample(wave, smaller)[inside].std() < 0.25 * alone.std()


# Color


def test_brightness_contrast_and_saturation() -> None:
    x = images()
    torch.testing.assert_close(apply(x, brightness=normal(1.5)), x + 0.3)
    torch.testing.assert_close(apply(x, contrast=normal(-2)), x / 2)
    mean = x.mean(1, keepdim=True)
    torch.testing.assert_close(apply(x, saturation=normal(1)), mean + 2 * (x - mean))


def test_luma_flips_and_hue() -> None:
    x = images()
    mean = x.mean(1, keepdim=True)
    torch.testing.assert_close(apply(x, luma=0.7), x - 2 * mean)
    assert torch.equal(apply(x, luma=0.3), apply(x, luma=0.1))
    third = apply(x, hue=0.5 + 1 / 3)  # red to green, green to blue, blue to red
    torch.testing.assert_close(third, x.roll(1, 1), rtol=0, atol=1e-5)
    half = apply(x, hue=0.0)  # opposite colors
    torch.testing.assert_close(half, 2 * mean - x, rtol=0, atol=1e-5)
    for name in ("hue", "saturation"):
        result = apply(x, **{name: 0.83})
        torch.testing.assert_close(result.mean(1, keepdim=True), mean, rtol=0, atol=1e-5)


def test_colors_are_a_product_of_homogeneous_matrices() -> None:
    x = images().double()
    axis = torch.full((3,), 1 / math.sqrt(3), dtype=torch.double)
    eye, outer = torch.eye(3, dtype=torch.double), torch.outer(axis, axis)
    angle = 2 * math.pi * 0.2
    a, b, c = axis.tolist()
    cross = torch.tensor([[0, -c, b], [c, 0, -a], [-b, a, 0]], dtype=torch.double)
    steps = [
        eye * 2**0.6,
        eye - 2 * outer,
        math.cos(angle) * eye + math.sin(angle) * cross + (1 - math.cos(angle)) * outer,
        outer + 2**-0.4 * (eye - outer),
    ]
    expected = x + 0.2 * -1.1
    for matrix in steps:
        expected = torch.einsum("dc,nchw->ndhw", matrix, expected)
    numbers = {"brightness": normal(-1.1), "contrast": normal(1.2), "luma": 0.8}
    result = apply(x, **numbers, hue=0.7, saturation=normal(-0.4))
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)


def test_gray_images_have_brightness_and_contrast_alone() -> None:
    x = images(channels=1)
    assert torch.equal(apply(x, luma=0.8, hue=0.2, saturation=0.9), x)
    result = apply(x, brightness=normal(1), contrast=normal(2), luma=0.8)
    torch.testing.assert_close(result, 2 * (x + 0.2))


# Cutout


@pytest.mark.parametrize(("right", "down"), [(0.5, 0.5), (0.0, 0.99), (0.3, 0.71)])
def test_cutout_equals_its_reference(right: float, down: float) -> None:
    x = images(height=16, width=10)
    expected = x.clone()
    for i in range(16):
        for j in range(10):
            if abs((i + 0.5) / 16 - down) < 0.25 and abs((j + 0.5) / 10 - right) < 0.25:
                expected[:, :, i, j] = 0
    assert torch.equal(apply(x, cutout=(right, down)), expected)
    assert torch.equal(apply(x, Groups(), cutout=(right, down)), x)


# All of them


@pytest.mark.parametrize("channels", [1, 3])
def test_derivatives_are_right_twice(channels: int) -> None:
    x = images(channels, 5, 4, count=3).double().requires_grad_()
    uniform = draws(3, seed=3)

    def function(x: Tensor) -> Tensor:
        return augmented(x, uniform, torch.tensor(0.7), EVERYTHING)

    assert torch.autograd.gradcheck(function, x)
    assert torch.autograd.gradgradcheck(function, x)


def test_a_penalty_goes_through_in_lower_precision() -> None:
    x = images().requires_grad_()
    layer = torch.nn.Conv2d(3, 4, 3)
    gradients = {}
    for lower in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=lower):
            logits = layer(augmented(x, draws(seed=4), HALF, EVERYTHING)).sin().sum()
            (gradient,) = torch.autograd.grad(logits, x, create_graph=True)
            penalty = gradient.square().sum()
        (gradients[lower],) = torch.autograd.grad(penalty, layer.weight)
    assert (gradients[True] - gradients[False]).norm() < 0.05 * gradients[False].norm()


def test_images_are_augmented_independently_and_repeatably() -> None:
    x, uniform = images(count=9), draws(9)
    result = augmented(x, uniform, HALF, EVERYTHING)
    assert torch.equal(result, augmented(x, uniform.clone(), HALF, EVERYTHING))
    alone = [augmented(x[i : i + 1], uniform[i : i + 1], HALF, EVERYTHING) for i in range(len(x))]
    torch.testing.assert_close(result, torch.cat(alone), rtol=0, atol=1e-5)


def test_type_and_memory_format_are_kept() -> None:
    x, uniform = images(height=17, width=12), draws()
    expected = augmented(x, uniform, HALF, EVERYTHING)
    last = augmented(x.to(memory_format=torch.channels_last), uniform, HALF, EVERYTHING)
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(last, expected)
    low = augmented(x.bfloat16(), uniform, HALF, EVERYTHING)
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), expected, rtol=0.02, atol=0.05)


@pytest.mark.parametrize("numbers", [0.0, 1 - 2**-24])
def test_the_ends_of_the_random_numbers_are_finite(numbers: float) -> None:
    uniform = torch.full((4, DRAWS), numbers)
    uniform[:, list(GATES.values())] = 0.0
    result = augmented(images(), uniform, torch.tensor(1.0), EVERYTHING)
    assert result.isfinite().all()


# Augmentations leak into generated images where the original is not the most frequent (sec. 2.2)


def orientations(probability: float, count: int = 40_000) -> Tensor:
    """How often each flip and quarter turn of an image is seen, the original first."""
    uniform = torch.rand(count, 7, generator=torch.Generator().manual_seed(5))
    uniform[:, 4] = 1  # no shifts
    maps = pixel_map(uniform, torch.tensor(probability), 8, 8)
    original = torch.tensor([[0.0, 1.0], [2.0, 3.0]]).expand(count, 1, 2, 2)
    seen, counts = copy_pixels(original, maps).flatten(1).unique(dim=0, return_counts=True)
    assert len(seen) == 8
    assert seen[0].tolist() == [0, 1, 2, 3]  # in order, it comes first
    return counts / count


def test_the_original_is_the_most_frequent_up_to_the_limit() -> None:
    for probability in (0.3, 0.8):
        shares = orientations(probability)
        likely = (1 - 0.5 * probability) * (1 - 0.75 * probability)
        assert abs(float(shares[0]) - likely) < 0.01
        assert (shares[1:] < shares[0] - 0.05).all()
    assert ((orientations(1.0) - 1 / 8).abs() < 0.01).all()


def test_operations_are_applied_with_the_probability() -> None:
    count = 40_000
    uniform = torch.rand(count, 11, generator=torch.Generator().manual_seed(6))
    closed = uniform.clone()
    closed[:, [0, 4, 8]] = 1
    _, rotated = geometric_map(closed, torch.tensor(0.6), 8, 8)
    assert abs(float(rotated.float().mean()) - 0.6) < 0.01  # either rotation, not each
    _, applied = geometric_map(uniform, torch.tensor(0.6), 8, 8)
    assert abs(float(applied.float().mean()) - (1 - 0.4**4)) < 0.01


# The probability


def test_the_controller_equals_its_reference() -> None:
    augment = AdaptiveAugment(target=0.6, ada_kimg=0.5, every=4, limit=0.8)
    generator = torch.Generator().manual_seed(7)
    probability, signs, seen = 0.0, 0.0, []
    for batch in range(400):
        # First sure of real images, then not.
        logits = torch.randn(8, generator=generator) + (2.0 if batch < 250 else 0.3)
        augment.observe(logits, Share())
        signs += float(logits.sign().mean())
        if batch % 4 == 3:
            r = signs / 4
            probability += 0 if r == 0.6 else math.copysign(4 * 8 / 500, r - 0.6)
            probability, signs = min(max(probability, 0.0), 0.8), 0.0
        assert float(augment.probability) == pytest.approx(probability, abs=1e-5)
        seen.append(probability)
    assert max(seen) == 0.8 and min(seen[260:]) == 0


def test_its_state_survives() -> None:
    def make() -> AdaptiveAugment:
        return AdaptiveAugment(target=0.6, ada_kimg=0.5, every=4, limit=0.8, cutout=1)

    first, second = make(), make()
    sure = torch.full((8,), 3.0)
    for _ in range(6):
        first.observe(sure, Share())
    assert first.values()["probability"] == pytest.approx(0.064)
    second.load_state_dict(first.state_dict())
    for augment in (first, second):
        augment.observe(sure, Share())
        assert augment.probability == pytest.approx(0.064)
        augment.observe(sure, Share())
        assert augment.probability == pytest.approx(0.128)
    assert torch.equal(first(images(), draws()), second(images(), draws()))


def test_the_probability_follows_a_number_or_a_schedule() -> None:
    fixed = ScheduledAugment(0.3)
    fixed.prepare(5.0)
    assert fixed.probability == pytest.approx(0.3)
    augment = ScheduledAugment(Linear(0, 0.5, 0, 10), pixel=0)
    x = images()
    augment.prepare(0.0)
    assert torch.equal(augment(x, draws()), x)
    augment.prepare(4.0)
    assert augment.probability == pytest.approx(0.2)
    augment.prepare(20.0)
    expected = augmented(x, draws(), HALF, Groups(pixel=0))
    assert torch.equal(augment(x, draws()), expected)


# Mistakes

ADA = {"target": 0.6, "ada_kimg": 500, "every": 4, "limit": 0.8}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": 1}, "target=1 must be a number between -1 and 1"),
        ({"target": "much"}, "target=much must be a number between -1 and 1"),
        ({"ada_kimg": 0}, "ada_kimg=0 must be a number above 0"),
        ({"every": 0}, "every=0 must be a whole number of at least 1"),
        ({"limit": 1.1}, "limit=1.1 must be a number from 0 to 1"),
        ({"geometry": -1}, "geometry=-1 must be a number from 0 to 1"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=rf"^model\.augment\.{message}$"):
        AdaptiveAugment(**{**ADA, **changes})


def test_bad_probabilities_are_refused() -> None:
    message = r"^model\.augment\.probability=1.5 must be a number from 0 to 1"
    with pytest.raises(UserError, match=rf"{message}, or a schedule$"):
        ScheduledAugment(1.5)
    late = ScheduledAugment(Linear(0, 2, 0, 10))
    late.prepare(1.0)
    with pytest.raises(UserError, match=rf"{message}$"):
        late.prepare(7.5)


def test_other_channels_are_refused() -> None:
    message = r"^model\.augment takes images of 1 or 3 channels, not of 4: set model/augment="
    with pytest.raises(UserError, match=message):
        AdaptiveAugment(**ADA)(images(channels=4), draws())
