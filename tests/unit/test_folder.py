"""Folders and zip archives: what is found in them, how it is labeled, what is refused."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trompe.data.cache import decode
from trompe.data.decoding import Decoding
from trompe.data.files import Directory
from trompe.data.limits import Unreadable
from trompe.data.picture_folder import FolderSource, ImageFolder
from trompe.errors import UserError


def picture(path: Path, level: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(level).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def tree(root: Path, *names: str) -> Path:
    for level, name in enumerate(names):
        picture(root / name, level)
    return root


def zipped(folder: Path, to: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(to, "w") as archive:
        for file in sorted(folder.rglob("*"), reverse=True):
            archive.write(file, prefix + file.relative_to(folder).as_posix())
    return to


def found(path: Path, subfolder: str | None = "auto") -> dict[str, str]:
    """Every image with the name of its class."""
    source = FolderSource(path, subfolder)
    return {source.name(i): source.class_names[source.labels[i]] for i in range(len(source))}


def test_first_level_gives_labels_in_sorted_order(tmp_path: Path) -> None:
    tree(tmp_path, "dogs/b.png", "cats/deep/er/c.jpg", "cats/a.webp", "dogs/A.PNG")
    assert found(tmp_path) == {
        "cats/a.webp": "cats",
        "cats/deep/er/c.jpg": "cats",
        "dogs/A.PNG": "dogs",
        "dogs/b.png": "dogs",
    }
    source = FolderSource(tmp_path)
    assert source.class_names == ["cats", "dogs"]
    assert [source.name(i) for i in range(4)] == sorted(found(tmp_path))


def test_flat_folder_is_one_class(tmp_path: Path) -> None:
    tree(tmp_path, "b.png", "a.bmp")
    assert found(tmp_path) == {"a.bmp": "images", "b.png": "images"}


def test_a_folder_named_train_among_classes_is_one_of_them(tmp_path: Path) -> None:
    tree(tmp_path, "bus/a.png", "plane/b.png", "train/c.png")
    assert sorted(found(tmp_path).values()) == ["bus", "plane", "train"]
    (note,) = FolderSource(tmp_path).notes
    assert note.endswith("all folders are used, train/ as one beside bus/, plane/")
    assert found(tmp_path, "train") == {"train/c.png": "images"}


@pytest.mark.parametrize("name", ["train", "Train", "TRAINING"])
def test_train_is_taken_where_all_beside_it_are_splits(tmp_path: Path, name: str) -> None:
    names = [f"{name}/x/a.png", "Valid/x/b.png", "test/x/c.png", "test/x/d.png", "cover.png"]
    tree(tmp_path, *names)
    assert found(tmp_path) == {f"{name}/x/a.png": "x"}
    (note,) = FolderSource(tmp_path).notes
    assert note.endswith(f"only {name}/ is used, left out: Valid/ (1), test/ (2), 1 beside it")


def test_a_set_without_folders_to_choose_from_has_no_notes(tmp_path: Path) -> None:
    for name in ("cat/a.png", "cat/b.png"), ("train/a.png",), ("a.png",):
        folder = tree(tmp_path / name[0], *name)
        assert not FolderSource(folder).notes


def test_what_is_passed_over_is_counted_named_and_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree(tmp_path, "a.png", "b/c.png")
    silent = [
        "README.txt",
        "labels.csv",
        "b/x.json",
        "Thumbs.db",
        ".DS_Store",
        "._a.nef",
        "LICENSE",
    ]
    told = ["b/1.NEF", "2.nef", "clip.mp4", "drawing.svg", "b/more.zip", "0a3f", "x.what"]
    for name in [*silent, *told]:
        (tmp_path / name).write_text("no picture")
    settings = {"channels": 3, "cache_dir": str(tmp_path / ".cache"), "flip": False}
    settings |= {"validation_fraction": 0.0, "split_seed": 0, "memory_limit_mb": 1}
    data = ImageFolder(str(tmp_path), resolution=8, **settings)  # type: ignore[arg-type]
    data.setup(), data.setup()
    assert capsys.readouterr().out == (
        f"note: data.path={tmp_path}: passed over 2 .nef (2.nef, ...; raw photographs: convert "
        "them, with the package rawpy for example), 1 without an ending (0a3f), 1 .zip "
        "(b/more.zip; archives: unpack them), 1 .mp4 (clip.mp4; video: extract frames, with ffmpeg "
        "for example), 1 .svg (drawing.svg; drawings: convert them, with the package cairosvg for "
        "example), ...\n"
    )
    assert len(data.decoded.images) == 2


def test_a_set_of_nothing_that_is_read_says_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "a.cr2").write_text("raw")
    assert "it has 1 .cr2 (a.cr2; raw photographs" in refusal(tmp_path)
    assert "raw photographs: convert them" in refusal(tmp_path / "a.cr2")


def test_photographs_of_telephones_are_read_by_a_plugin(tmp_path: Path) -> None:
    tree(tmp_path, "a.png")
    try:
        import pillow_heif
    except ImportError:
        (tmp_path / "b.heic").write_text("a photograph")
        (note,) = FolderSource(tmp_path).notes
        assert note.endswith("1 .heic (b.heic; pip install pillow-heif reads them)")
    else:
        pillow_heif.from_pillow(Image.new("RGB", (64, 48))).save(tmp_path / "b.heic")
        decoded = decode(FolderSource(tmp_path), Decoding(8, 3), tmp_path / ".cache")
        assert len(decoded.images) == 2


def test_numbers_of_formats_that_hold_them_have_a_fingerprint_of_their_rule(tmp_path: Path) -> None:
    tree(tmp_path / "b", "a.tif")
    tree(tmp_path / "a", "a.png")
    # Those of other formats stay what they were.
    contents = {name: FolderSource(tmp_path / name)._content() for name in "ab"}
    assert FolderSource(tmp_path / "a").fingerprint() == contents["a"]
    assert FolderSource(tmp_path / "b").fingerprint() != contents["b"]


def test_what_is_no_picture_is_passed_over(tmp_path: Path) -> None:
    tree(tmp_path, "a.png", ".hidden.png", ".git/b.png", "__MACOSX/a.png")
    for name in ("notes.txt", "data.h5", "figure.eps", "png"):
        (tmp_path / name).write_text("no picture")
    assert list(found(tmp_path)) == ["a.png"]
    assert list(found(zipped(tmp_path, tmp_path / "all.zip"))) == ["a.png"]


@pytest.mark.parametrize("prefix", ["", "set/", "outer/set/"])
def test_auto_takes_train_also_in_a_wrapping_folder(tmp_path: Path, prefix: str) -> None:
    folder = tree(tmp_path / "set", "train/cat/a.png", "train/dog/b.png", "test/cat/c.png")
    archive = zipped(folder, tmp_path / "set.zip", prefix)
    both = {f"{prefix}train/cat/a.png": "cat", f"{prefix}train/dog/b.png": "dog"}
    assert found(archive) == both
    assert found(archive, "train") == both
    assert found(archive, "test/cat/") == {f"{prefix}test/cat/c.png": "images"}
    assert sorted(found(archive, None).values()) == ["test", "train", "train"]


def test_wrapping_folder_is_no_class(tmp_path: Path) -> None:
    folder = tree(tmp_path / "set", "cat/a.png", "dog/b.png")
    archive = zipped(folder, tmp_path / "set.zip", "set/")
    assert found(archive) == {"set/cat/a.png": "cat", "set/dog/b.png": "dog"}


def test_folder_and_its_archive_are_the_same_data(tmp_path: Path) -> None:
    folder = tree(tmp_path / "set", "cat/a.png", "dog/b.jpg", "dog/c.png")
    archive = zipped(folder, tmp_path / "set.zip", "wrapped/")
    decoding = Decoding(8, 3)
    sources = FolderSource(folder), FolderSource(archive)
    one, two = (decode(s, decoding, tmp_path / s.location[-5:]) for s in sources)
    assert one.images.equal(two.images) and one.labels.equal(two.labels)
    assert one.class_names == two.class_names == ["cat", "dog"]
    assert one.fingerprint == two.fingerprint
    assert len({image.numpy().tobytes() for image in one.images}) == 3


def test_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    names = ("cat/a.png", "dog/b.png")
    here, there = (FolderSource(tree(tmp_path / n, *names)) for n in ("here", "there"))
    assert here.fingerprint() == there.fingerprint()
    picture(tmp_path / "there/cat/a.png", level=9)
    assert FolderSource(tmp_path / "there").fingerprint() != here.fingerprint()
    renamed = tree(tmp_path / "renamed", "bird/a.png", "dog/b.png")
    assert FolderSource(renamed).fingerprint() != here.fingerprint()


def test_second_start_reads_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, cache = tree(tmp_path / "set", "a.png", "b.png"), tmp_path / "cache"
    first = FolderSource(folder, "auto", cache).fingerprint()
    assert [p.suffix for p in (cache / "fingerprints").iterdir()] == [".txt"]
    read: list[str] = []
    original = Directory.read

    def counted(self: Directory, name: str) -> bytes:
        read.append(name)
        return original(self, name)

    monkeypatch.setattr(Directory, "read", counted)
    assert FolderSource(folder, "auto", cache).fingerprint() == first
    assert read == []
    # Same size, other content: the time of change tells.
    content = bytearray((folder / "a.png").read_bytes())
    content[-1] ^= 1
    (folder / "a.png").write_bytes(content)
    os.utime(folder / "a.png", ns=(1, 1))
    assert FolderSource(folder, "auto", cache).fingerprint() != first
    assert sorted(read) == ["a.png", "b.png"]


def test_what_cannot_be_read_now_is_read_when_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A right that is given changes neither a file's size nor its time."""
    folder, cache = tree(tmp_path / "set", "a.png", "b.png"), tmp_path / "cache"
    original = Directory.read

    def refused(self: Directory, name: str) -> bytes:
        if name == "a.png":
            raise Unreadable("permission denied")
        return original(self, name)

    monkeypatch.setattr(Directory, "read", refused)
    before = FolderSource(folder, "auto", cache).fingerprint()
    monkeypatch.setattr(Directory, "read", original)
    assert FolderSource(folder, "auto", cache).fingerprint() != before


def test_paths_are_relative_to_here_or_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path / "set", "a.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(FolderSource("set")) == len(FolderSource("~/set")) == 1


def test_circular_links_end(tmp_path: Path) -> None:
    folder = tree(tmp_path / "set", "cat/a.png")
    (folder / "again").symlink_to(folder, target_is_directory=True)
    elsewhere = tree(tmp_path / "elsewhere", "b.png")
    (folder / "dog").symlink_to(elsewhere, target_is_directory=True)
    assert found(folder) == {"cat/a.png": "cat", "dog/b.png": "dog"}


def test_names_that_lead_out_of_an_archive_write_nothing(tmp_path: Path) -> None:
    inner = tree(tmp_path / "in", "a.png")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.write(inner / "a.png", "../../out/a.png")
        archive.write(inner / "a.png", "/abs/b.png")
    before = sorted(tmp_path.rglob("*"))
    source = FolderSource(tmp_path / "set.zip")
    assert source.class_names == ["abs", "out"]
    assert np.asarray(source.read(1)).shape == (12, 10, 3)
    assert sorted(tmp_path.rglob("*")) == before


def refusal(path: Path | str, subfolder: str | None = "auto") -> str:
    with pytest.raises(UserError) as caught:
        FolderSource(path, subfolder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_and_wrong_paths_are_refused(tmp_path: Path) -> None:
    assert "data.path=nowhere: there is no such folder" in refusal("nowhere")
    (tmp_path / "text.zip").write_text("no archive")
    assert "neither a folder nor a zip archive" in refusal(tmp_path / "text.zip")
    whole = zipped(tree(tmp_path / "set", "a.png"), tmp_path / "whole.zip")
    (tmp_path / "torn.zip").write_bytes(whole.read_bytes()[:-30])
    assert "neither a folder nor a zip archive" in refusal(tmp_path / "torn.zip")


def test_no_images_is_refused(tmp_path: Path) -> None:
    assert f"data.path={tmp_path} holds no pictures" in refusal(tmp_path)
    (tmp_path / "notes.txt").write_text("no picture")
    archive = zipped(tmp_path, tmp_path.with_suffix(".zip"))
    assert "holds no pictures" in refusal(archive)


def test_missing_subfolder_is_refused_naming_those_there(tmp_path: Path) -> None:
    tree(tmp_path, "train/a.png", "test/b.png")
    message = refusal(tmp_path, "valid")
    assert "data.subfolder=valid" in message and "it has test, train" in message
    flat = tree(tmp_path / "flat", "a.png")
    assert "no subfolders: set it to null" in refusal(flat, "valid")
