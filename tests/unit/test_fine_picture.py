"""Depth, transparency and color profile go in and come out again."""

from pathlib import Path

import numpy as np
import png
import pytest
import torch
from PIL import Image, ImageCms

from trompe.data.fine_picture import FinePicture, read_fine

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def planes_of(path: Path) -> tuple[np.ndarray, dict[str, object]]:
    """All values of a PNG as its file has them, by a reader of its own."""
    width, height, rows, info = png.Reader(bytes=path.read_bytes()).read()
    values = np.vstack([np.array(row) for row in rows])
    return values.reshape(height, width, info["planes"]), info


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("planes", [1, 2, 3, 4])
@pytest.mark.parametrize("profile", [None, PROFILE])
def test_a_file_is_written_as_it_was(
    depth: int, planes: int, profile: bytes | None, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    values = torch.from_numpy(random.integers(0, 2**depth, (1, planes, 5, 7))).double()
    values = (values / (2**depth - 1)).float()
    colors, opacity = (values, None) if planes % 2 else (values[:, :-1], values[:, -1:])
    FinePicture(colors, opacity, depth, profile).save(tmp_path / "a.png")
    read = read_fine("data.picture", tmp_path / "a.png", colors.shape[1])
    assert (read.depth, read.profile) == (depth, profile)
    torch.testing.assert_close(read.pixels, colors)
    assert (read.opacity is None) == (opacity is None)
    if opacity is not None:
        torch.testing.assert_close(read.opacity, opacity)
    read.save(tmp_path / "b.png")
    (first, told), (second, again) = (planes_of(tmp_path / name) for name in ("a.png", "b.png"))
    np.testing.assert_array_equal(first, second)
    assert told["bitdepth"] == again["bitdepth"] == depth
    with Image.open(tmp_path / "b.png") as picture:
        assert picture.info.get("icc_profile") == profile


def test_sixteen_bits_are_more_than_eight(tmp_path: Path) -> None:
    ramp = torch.linspace(0, 1, 4096).view(1, 1, 1, -1).expand(1, 3, 2, -1)
    FinePicture(ramp, depth=16).save(tmp_path / "ramp.png")
    for channels in (1, 3):
        read = read_fine("data.picture", tmp_path / "ramp.png", channels)
        assert read.pixels.shape == (1, channels, 2, 4096)
        assert len(read.pixels.unique()) >= 4096
        torch.testing.assert_close(read.pixels, ramp[:, :channels], atol=2e-5, rtol=0)


def test_a_larger_picture_has_a_larger_transparency() -> None:
    opacity = torch.zeros(1, 1, 4, 4)
    opacity[..., :2] = 1
    fine = FinePicture(torch.zeros(1, 3, 4, 4), opacity, 16, PROFILE)
    larger = fine.with_pixels(torch.ones(1, 3, 8, 8))
    assert larger.opacity is not None and larger.opacity.shape == (1, 1, 8, 8)
    assert float(larger.opacity[..., 0].mean()) > 0.9 > 0.1 > float(larger.opacity[..., -1].mean())
    assert (larger.depth, larger.profile) == (16, PROFILE)
