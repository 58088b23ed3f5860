"""Which files `trompe stylize` finds, and which of them move."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.runs.test_stylize import picture
from trompe.errors import UserError
from trompe.stylizers.picture_files import find_pictures, read, read_frames


def test_only_gif_apng_and_webp_are_animations(tmp_path: Path) -> None:
    frames = [Image.open(picture(tmp_path / "f" / f"{i}.png", seed=i)) for i in range(3)]
    sideways = Image.Exif()
    sideways[0x0112] = 6  # turned by a quarter
    several: dict[str, Any] = {"save_all": True, "append_images": frames[1:]}
    made = {}
    for name, options in [
        ("pages.tif", several),
        ("stereo.mpo", several),
        ("telephone.jpg", several | {"format": "MPO", "exif": sideways}),
        ("one.gif", {}),
        ("clip.gif", several | {"duration": 70}),
        ("clip.webp", several | {"duration": 70}),
        ("clip.png", several | {"duration": 70}),
        ("cover.png", several | {"duration": 70, "default_image": True}),
    ]:
        frames[0].save(tmp_path / name, **options)
        (found,) = find_pictures("content", str(tmp_path / name), None)
        shown = [ms for _, ms in read_frames("content", found.path, None)]
        made[name] = (found.frames, found.suffix, shown[0])
    assert made == {
        "pages.tif": (1, ".png", 100),
        "stereo.mpo": (1, ".png", 100),
        "telephone.jpg": (1, ".png", 100),
        "one.gif": (1, ".png", 100),
        "clip.gif": (3, ".gif", 70),
        "clip.webp": (3, ".gif", 70),
        "clip.png": (3, ".gif", 70),
        "cover.png": (2, ".gif", 70),
    }
    assert read("content", tmp_path / "telephone.jpg", None).shape == (1, 3, 50, 38)


def test_folders_and_patterns_stand_for_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inner = picture(tmp_path / "set" / "x.png" / "a.jpg")
    (tmp_path / "set" / "film.mov").write_text("frames")
    for spec in (tmp_path / "set", tmp_path / "set" / "*.png", [str(inner)]):
        given = spec if isinstance(spec, list) else str(spec)
        assert [p.path for p in find_pictures("content", given, None)] == [inner]
    said = capsys.readouterr().out
    assert said.count("passed over") == said.count("1 .mov (film.mov; video: extract frames") == 1


def test_a_film_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "film.mov").write_text("frames")
    with pytest.raises(UserError, match=r"cannot be read: .* \(video: extract frames"):
        find_pictures("content", str(tmp_path / "film.mov"), None)


def test_what_cannot_be_used_is_left_out_if_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = picture(tmp_path / "set" / "b.png")
    (tmp_path / "set" / "a.png").write_bytes(good.read_bytes()[:-60])
    spec = str(tmp_path / "set")
    with pytest.raises(UserError, match=r"a\.png cannot be read: cut off"):
        find_pictures("content", spec, None)
    assert [p.path for p in find_pictures("content", spec, None, on_corrupt="skip")] == [good]
    assert "left out: content=" in capsys.readouterr().out
    good.unlink()
    with pytest.raises(UserError, match="none of 1 pictures can be used"):
        find_pictures("content", spec, None, on_corrupt="skip")
