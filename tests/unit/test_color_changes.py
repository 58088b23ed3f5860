"""Styles in other colors."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.unit.style_sets import levels, maker
from trompe.data.color_changes import change_colors, draw_color_changes
from trompe.engine.randomness import keyed_generator
from trompe.errors import UserError


@pytest.fixture
def make(tmp_path: Path) -> Any:
    return maker(tmp_path)


def drawn(share: float, seed: int = 0, count: int = 400) -> torch.Tensor:
    return draw_color_changes(count, share, keyed_generator(seed, "x"))


def test_changes_are_turns_and_the_same_for_the_same_seed() -> None:
    matrices = drawn(1)
    unit = torch.eye(3).expand_as(matrices)
    assert torch.allclose(matrices @ matrices.mT, unit, atol=1e-5)
    assert torch.equal(matrices, drawn(1)) and not torch.equal(matrices, drawn(1, seed=1))


@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
def test_a_share_is_changed(share: float) -> None:
    matrices = drawn(share)
    same = (matrices == torch.eye(3)).all(-1).all(-1).float().mean()
    # Of those that permute, a twelfth changes nothing.
    assert float(same) == pytest.approx(1 - share + share / 24, abs=0.06)
    permuted = ((matrices == 0).sum((1, 2)) == 6).float().mean() - same
    assert float(permuted) == pytest.approx(share / 2, abs=0.07)


def test_colors_turn_about_middle_gray() -> None:
    images = torch.tensor([[255, 0, 100], [127, 128, 127]], dtype=torch.uint8)[..., None, None]
    swapped = torch.tensor([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]]).expand(2, 3, 3)
    assert change_colors(images, swapped)[0].flatten().tolist() == [0, 255, 100]
    assert change_colors(images, -swapped)[0].flatten().tolist() == [255, 0, 155]
    assert torch.equal(change_colors(images, torch.eye(3).expand(2, 3, 3)), images)


def test_the_styles_of_a_batch_are_recolored_and_contents_are_not(make: Any) -> None:
    plain, changed = (make(recolored=share).stream(0, 64) for share in (0.0, 0.5))
    rows = slice(0, 64)
    before, after = plain.batch(128, rows), changed.batch(128, rows)
    assert torch.equal(before.content, after.content)
    assert torch.equal(before.style_index, after.style_index)
    same = (before.style == after.style).flatten(1).all(1)
    assert 0.3 < same.float().mean() < 0.75
    part = changed.batch(128, slice(16, 32))
    assert torch.equal(part.style, after.style[16:32])


def test_a_small_class_is_shown_more_often(make: Any, tmp_path: Path) -> None:
    for level in (100, 101):
        (tmp_path / "paintings" / "few").mkdir(exist_ok=True)
        (tmp_path / "paintings" / f"{level}.png").rename(
            tmp_path / "paintings" / "few" / f"{level}.png"
        )
    (tmp_path / "paintings" / "many").mkdir()
    for level in range(102, 106):
        (tmp_path / "paintings" / f"{level}.png").rename(
            tmp_path / "paintings" / "many" / f"{level}.png"
        )
    data = make(style_repeats={"few": 5}, validation_fraction=0, style_squares=1)
    shown = levels(data.stream(0, 14).batch(0, slice(0, 14)).style)
    assert {level: shown.count(level) for level in sorted(set(shown))} == {
        **dict.fromkeys((100, 101), 5),
        **dict.fromkeys(range(102, 106), 1),
    }
    with pytest.raises(UserError, match=r"style_repeats: there is no class fw; .*few, many"):
        make(style_repeats={"fw": 5}).stream(0, 4)


def test_wrong_shares_are_refused(make: Any) -> None:
    with pytest.raises(UserError, match=r"data\.recolored=1.5 must be between 0 and 1"):
        make(recolored=1.5)
