"""`trompe stylize only_missing=true`: what is there is kept if it was made in the same way."""

from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import TINY_STYLE, Trompe
from tests.runs.test_stylize import make_run, picture, stylized
from trompe.errors import UserError
from trompe.runs.run_folder import RunFolder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return make_run(tmp_path_factory.mktemp("run") / "style", TINY_STYLE)


def test_what_is_missing_is_made_and_nothing_else(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(3):
        picture(tmp_path / "photos" / f"{i}.png", seed=i)
    style, out = picture(tmp_path / "style.png", seed=9), tmp_path / "out"
    given = [f"content={tmp_path / 'photos'}", f"style={style}", f"out={out}"]
    stylized(run, *given)
    times = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    (out / "1.png").unlink()
    stylized(run, *given, "only_missing=true", "matrix=true")
    assert "1 picture by" in capsys.readouterr().out
    again = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert {name for name, time in again.items() if times.get(name) != time} == {
        "1.png",
        "matrix.png",
    }
    # Made in another way, of another content, or by who knows what.
    with pytest.raises(UserError, match=r"0.png was made with strength=1, not 0.5"):
        stylized(run, *given, "only_missing=true", "strength=0.5")
    picture(tmp_path / "photos" / "2.png", seed=8)
    with pytest.raises(UserError, match=r"2.png was made with content=2.png \w+, not 2.png"):
        stylized(run, *given, "only_missing=true")
    picture(out / "2.png")
    with pytest.raises(UserError, match=r"2.png is there and does not say how it was made"):
        stylized(run, *given, "only_missing=true")
    # What may be replaced is; what is right stays, so that an interrupted overwrite goes on.
    times = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    stylized(run, *given, "only_missing=true", "overwrite=true")
    assert "1 picture by" in capsys.readouterr().out
    again = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert {name for name, time in again.items() if times.get(name) != time} == {"2.png"}


def test_an_interrupted_folder_goes_on_from_the_command_line(
    trompe: Trompe, tmp_path: Path
) -> None:
    for i in range(2):
        picture(tmp_path / "photos" / f"{i}.png", seed=i)
    moving = [Image.open(tmp_path / "photos" / f"{i}.png") for i in range(2)]
    moving[0].save(tmp_path / "photos" / "clip.gif", save_all=True, append_images=moving[1:])
    style, out = picture(tmp_path / "style.png", seed=9), tmp_path / "out"
    given = ["stylize", f"content={tmp_path / 'photos'}", f"style={style}", f"out={out}"]
    trompe(*given)
    (out / "0.png").unlink()
    assert "1 picture by the embedded" in trompe(*given, "only_missing=true").stdout
    assert "0 pictures by" in trompe(*given, "only_missing=true").stdout
    # An animation that ends in the middle of its file is none.
    whole = (out / "clip.gif").read_bytes()
    (out / "clip.gif").write_bytes(whole[: 2 * len(whole) // 3])
    assert "clip.gif is there and does not say" in trompe.fails(*given, "only_missing=true")
    # Frames of one animation are made otherwise than pictures.
    (out / "clip.gif").write_bytes(whole)
    assert "was made with frames=None" in trompe.fails(*given, "only_missing=true", "frames=true")


def test_a_picture_and_the_matrix_need_names_of_their_own(run: RunFolder, tmp_path: Path) -> None:
    content = picture(tmp_path / "photos" / "matrix.png")
    style = picture(tmp_path / "style.png", seed=1)
    given = [f"content={content}", f"style={style}", f"out={tmp_path / 'out'}", "matrix=true"]
    with pytest.raises(UserError, match=r"a picture would both be written to .*rename it"):
        stylized(run, *given)
    assert not (tmp_path / "out").exists()
