"""The procedural painter: deterministic, and of five kinds that look different."""

from pathlib import Path

import numpy as np
import pytest
import torch

from trompe.data.cache import decode
from trompe.data.decoding import Decoding
from trompe.data.painter import STYLES, PaintedSource, paint
from trompe.data.painting.color import palette
from trompe.data.painting.fields import along
from trompe.errors import UserError

KINDS = list(STYLES)


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_a_function_of_its_seed(kind: str) -> None:
    first = paint(kind, 1, 48)
    np.random.seed(7)
    assert first.shape == (48, 48, 3) and first.dtype == np.uint8
    assert np.array_equal(first, paint(kind, 1, 48))
    assert not np.array_equal(first, paint(kind, 2, 48))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [16, 61])
def test_any_size_can_be_painted(kind: str, size: int) -> None:
    for seed in range(6):
        assert paint(kind, seed, size).shape == (size, size, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_of_a_kind_vary_and_are_rich(kind: str) -> None:
    pictures = np.stack([paint(kind, seed, 64) for seed in range(12)]).astype(float)
    means = pictures.mean((1, 2))
    assert np.linalg.norm(means - means.mean(0), axis=1).mean() > 20  # palettes
    gray = pictures.mean(3)
    assert gray.std((1, 2)).min() > 8 and gray.std((1, 2)).mean() > 25  # contrast
    assert (pictures.max(3) - pictures.min(3)).mean() > 20  # colors, no grays
    # Texture, not noise: neighbors are alike, but not the same.
    steps = np.abs(np.diff(gray, axis=2)).mean((1, 2)) / gray.std((1, 2))
    assert (steps > 0.04).all() and (steps < 1).all()


def signature(picture: np.ndarray) -> np.ndarray:
    """How dark the darkest parts are, and how much of the detail is at each of four scales."""
    gray = picture.astype(float).mean(2)
    detail = []
    for _ in range(4):
        half = gray.reshape(len(gray) // 2, 2, -1, 2).mean((1, 3))
        detail.append((gray - half.repeat(2, 0).repeat(2, 1)).std())
        gray = half
    dark = np.quantile(picture.max(2), 0.05) / 255
    return np.array([dark, *np.log(np.array(detail) + 1)])


def test_kinds_differ_measurably() -> None:
    """The nearest mean of the other pictures tells a picture's kind far better than chance."""
    signs = np.array([[signature(paint(k, s, 64)) for s in range(16)] for k in KINDS])
    scale = signs.reshape(-1, signs.shape[2]).std(0)
    means = signs[:, :8].mean(1)
    distance = np.linalg.norm((signs[:, 8:, None] - means) / scale, axis=-1)
    right = distance.argmin(2) == np.arange(len(KINDS))[:, None]
    assert right.mean() > 0.5


def test_palettes_go_from_dark_to_light() -> None:
    for seed in range(50):
        colors = palette(np.random.default_rng(seed))
        assert colors.shape == (6, 3) and colors.min() >= 0 and colors.max() <= 1
        light = colors @ [0.299, 0.587, 0.114]
        assert light[0] < 0.3 and light[-1] > 0.7


def test_smear_follows_the_direction() -> None:
    noise = np.random.default_rng(0).standard_normal((64, 64))
    smeared = along(np.zeros((64, 64)), noise, 0.1)
    across, down = (np.abs(np.diff(smeared, axis=axis)).mean() for axis in (1, 0))
    assert across < 0.6 * down


def test_painted_source_goes_through_the_cache(tmp_path: Path) -> None:
    source = PaintedSource(7, 32, seed=0)
    decoded = decode(source, Decoding(32, 3), tmp_path)
    assert decoded.class_names == KINDS and decoded.labels.tolist() == [0, 1, 2, 3, 4, 0, 1]
    assert torch.equal(decoded.images[6], torch.tensor(source.read(6)).permute(2, 0, 1))
    assert not torch.equal(decoded.images[0], decoded.images[5])
    longer = PaintedSource(9, 32, seed=0)
    assert np.array_equal(longer.read(6), source.read(6))
    others = [longer, PaintedSource(7, 33, 0), PaintedSource(7, 32, 1)]
    assert len({s.fingerprint() for s in [source, *others]}) == 4
    assert not np.array_equal(others[2].read(6), source.read(6))


@pytest.mark.parametrize(("size", "side", "said"), [(0, 32, "size=0"), (1, 15, "side=15")])
def test_impossible_paintings_are_refused(size: int, side: int, said: str) -> None:
    with pytest.raises(UserError, match=f"the painter: {said} must be at least"):
        PaintedSource(size, side, 0)
