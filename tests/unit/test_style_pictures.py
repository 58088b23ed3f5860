"""What a set of style transfer may be, and what is said of what it may not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.unit.style_sets import levels, maker, plain
from trompe.data.painter import PaintedSource
from trompe.data.photographs import PackagedPhotographs, open_pictures
from trompe.errors import UserError


@pytest.fixture
def make(tmp_path: Path) -> Any:
    return maker(tmp_path)


def test_sets_are_folders_pictures_sources_or_lists(make: Any, tmp_path: Path) -> None:
    one = str(tmp_path / "paintings" / "103.png")
    mixed = [one, str(tmp_path / "photos"), PaintedSource(2, 32, 0)]
    data = make(style=mixed, style_squares=1, validation_fraction=0)
    assert data.split_size("train") == 13
    assert levels(data.styles("train", 11)) == [103, *range(10)]
    assert data.class_names[-1] == "stained glass" and "images" in data.class_names
    labels = data.gather("train", torch.arange(13)).labels
    assert [data.class_names[i] for i in labels[[0, 10, 11, 12]]] == [
        "images",
        "images",
        "brush strokes",
        "stained glass",
    ]
    single = make(style=one, validation_fraction=0.2)
    assert levels(single.styles("train", 2)) == [103, 103]
    with pytest.raises(UserError, match=r"data\.style has no validation pictures"):
        single.styles("validation", 1)


def test_packaged_photographs_are_in_color_and_large_enough() -> None:
    source = PackagedPhotographs()
    assert len(source) == 8
    for i in range(len(source)):
        picture = source.read(i)
        pixels = np.asarray(picture).astype(int)
        assert picture.mode == "RGB" and min(picture.size) >= 300
        assert np.abs(pixels - pixels.mean(2, keepdims=True)).mean() > 1, source.name(i)
    assert source.fingerprint() == PackagedPhotographs().fingerprint()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"style": "nowhere"}, "data.style=nowhere: there is no such folder"),
        ({"style": "empty"}, "data.style=empty holds no pictures"),
        ({"content": []}, r"data.content=\[\] must be a folder"),
        ({"content": None}, "data.content=None must be a folder"),
        (
            {"content": "small"},
            "9 of 9 .* data.content=small, 3 squares of each, .*smaller than 32",
        ),
        ({"content": "small"}, "a smaller data.source_resolution"),
        ({"style": "torn"}, "2 of 6 images of data.style=torn.* cannot be decoded: 002.png"),
        ({"style": "torn/notes.txt"}, "data.style=torn/notes.txt is neither a folder nor a zip"),
        ({"resolution": 33}, "data.resolution=33 .* at most data.source_resolution=32"),
        ({"crop_min": 0}, "data.crop_min=0"),
        ({"crop_min": 1.1}, "data.crop_min=1.1"),
        ({"channels": 1}, "data.channels=1"),
        ({"style_squares": 0}, "data.style_squares=0 must be at least 1"),
        ({"validation_fraction": 1}, "data.validation_fraction=1"),
    ],
)
def test_mistakes_are_told_in_one_line(
    make: Any,
    changes: dict[str, Any],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    plain(tmp_path / "small", 3, (31, 60))
    plain(tmp_path / "torn", 3)
    (tmp_path / "torn/002.png").write_bytes(b"no picture")
    (tmp_path / "torn/notes.txt").write_text("no picture either")
    with pytest.raises(UserError, match=said) as caught:
        make(**changes).setup()
    assert "\n" not in str(caught.value)


def test_what_is_passed_over_is_told_of_each_set(
    make: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("photos", "paintings"):
        (tmp_path / name / "film.mov").write_text("frames")
    make(style=[str(tmp_path / "paintings"), PaintedSource(1, 32, 0)]).setup()
    said = capsys.readouterr().out
    for key, name in (("content", "photos"), ("style", "paintings")):
        assert f"note: data.{key}={tmp_path / name}: passed over 1 .mov (film.mov; " in said


def test_a_corrupt_picture_is_left_out_with_all_its_squares(make: Any, tmp_path: Path) -> None:
    torn = plain(tmp_path / "torn", 5)
    whole = (torn / "001.png").read_bytes()
    (torn / "001.png").write_bytes(whole[: len(whole) // 2])
    data = make(content=str(torn), on_corrupt="skip", validation_fraction=0)
    assert levels(data.contents("train", 5)) == [0, 2, 3, 4, 0]


def test_upright_rgb_of_any_kind_of_picture(make: Any, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    Image.new("CMYK", (40, 40), (0, 255, 255, 0)).save(folder / "0.jpg", quality=95)
    Image.new("RGBA", (40, 40), (0, 0, 0, 0)).save(folder / "1.png")
    Image.fromarray(np.full((40, 40), 40 * 257, dtype=np.uint16)).save(folder / "2.png")
    sideways = Image.new("RGB", (96, 32), (255, 0, 0))
    sideways.paste((0, 0, 255), (64, 0, 96, 32))
    exif = sideways.getexif()
    exif[0x0112] = 6  # to be turned clockwise: the left end is then the top
    sideways.save(folder / "3.jpg", exif=exif, quality=95)
    data = make(content=str(folder), validation_fraction=0)
    colors = data.contents("train", 12).float().mean((2, 3))
    assert (colors[0] - torch.tensor([255.0, 0, 0])).abs().max() < 8
    assert (colors[1] == 255).all() and (colors[2] == 40).all()
    # The squares of picture 3: middle, top, bottom.
    expected = torch.tensor([[255.0, 0, 0], [255, 0, 0], [0, 0, 255]])
    assert (colors[[3, 7, 11]] - expected).abs().max() < 8


def test_sources_are_opened_as_they_are() -> None:
    source = PaintedSource(1, 16, 0)
    assert open_pictures(source, "data.style") is source
