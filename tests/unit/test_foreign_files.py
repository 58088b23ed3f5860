"""Files from elsewhere, made by mistake or in bad faith: each is refused, with its reason."""

import io
import os
import re
import socket
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from trompe.data.cache import decode
from trompe.data.decoding import Decoding
from trompe.data.files import Directory
from trompe.data.limits import MAX_PIXELS, Limits
from trompe.data.picture_folder import FolderSource, ImageFolder
from trompe.data.whole_pictures import OneByOne, find_shapes
from trompe.errors import UserError
from trompe.stylizers.picture_files import read

MIB = 2**20


def png(width: int = 20, height: int = 20, **options: object) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", **options)
    return file.getvalue()


def huge_png() -> bytes:
    """One that says it has 60000 x 60000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(1000))
    chunks = (
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, data)
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def huge_icon() -> bytes:
    """An icon of 16 x 16 pixels, as its header says, whose picture is a PNG with other sides."""
    content = huge_png()
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(content), 22)
    return struct.pack("<HHH", 0, 1, 1) + entry + content


def talkative_png() -> bytes:
    info = PngInfo()
    info.add_text("prompt", "x" * 2 * MIB, zip=True)
    return png(pnginfo=info)


def listen(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # such names are short
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:1234\nsize 12345\n"
TORN = png()[:-200]
FILES: dict[str, tuple[bytes | Callable[[Path], object], str]] = {
    "empty": (b"", "empty"),
    "web page": (b"<html>" * 9, "not a picture of a kind that Pillow knows"),
    "pointer": (LFS, "a Git LFS pointer: run git lfs pull"),
    "torn": (TORN, "cut off"),
    "huge": (huge_png(), rf"60000 x 60000 pixels: more than \S*max_pixels={MAX_PIXELS}"),
    "huge within": (huge_icon(), "more pixels than .*max_pixels"),
    "talkative": (talkative_png(), "its text is larger than Pillow reads"),
    "pipe": (os.mkfifo, "not a file on a disk"),
    "socket": (listen, "not a file on a disk"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "not a file on a disk"),
    "loop": (lambda path: path.symlink_to(path), "too many levels of symbolic links"),
    "dangling": (lambda path: path.symlink_to("nowhere"), "no such file or directory"),
    "large": (lambda path: sparse(path, 5 * 2**30), "more than the 682 MiB that"),
}


def sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


@pytest.fixture(params=FILES)
def bad(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A folder with a good picture and a bad one, x.png, and why it is bad."""
    what, reason = FILES[request.param]
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.png").write_bytes(png())
    if isinstance(what, bytes):
        (folder / "x.png").write_bytes(what)
    else:
        what(folder / "x.png")
    return folder, reason


def test_training_tells_name_and_reason(bad: tuple[Path, str], tmp_path: Path) -> None:
    folder, reason = bad
    with pytest.raises(
        UserError, match=rf"^1 of 2 images of data.path=.* cannot be decoded: x.png \({reason}"
    ):
        decode(FolderSource(folder, cache_dir=tmp_path), Decoding(8, 3), tmp_path)
    skip = Decoding(8, 3, on_corrupt="skip")
    assert len(decode(FolderSource(folder), skip, tmp_path).images) == 1


def test_stylizing_tells_name_and_reason(bad: tuple[Path, str]) -> None:
    folder, reason = bad
    with pytest.raises(UserError, match=rf"^content=.*x.png cannot be read: {reason}"):
        read("content", folder / "x.png", None)


def test_evaluating_tells_name_and_reason(bad: tuple[Path, str]) -> None:
    folder, reason = bad
    with pytest.raises(UserError, match=rf"^1 of 2 images of data.path=.*: x.png \({reason}"):
        source = FolderSource(folder)
        find_shapes(source)
        list(OneByOne(source, torch.arange(2)))


def test_pixels_are_limited_by_the_config(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(20, 10))
    common = {"resolution": 8, "channels": 3, "cache_dir": str(tmp_path / "cache"), "flip": False}
    common |= {"validation_fraction": 0.0, "split_seed": 0, "memory_limit_mb": 1}
    with pytest.raises(UserError, match=r"20 x 10 pixels: more than data.max_pixels=199"):
        ImageFolder(str(tmp_path), max_pixels=199, **common).setup()  # type: ignore[arg-type]
    ImageFolder(str(tmp_path), max_pixels=200, **common).setup()  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"data.max_pixels=0 must be"):
        ImageFolder(str(tmp_path), max_pixels=0, **common)  # type: ignore[arg-type]


def test_a_limit_that_was_raised_does_not_find_what_was_skipped_without() -> None:
    assert Decoding(8, 3).key("a") == "933dadfc8fdfb5bd26ed66a4ef652b55"  # as before there was one
    assert Decoding(8, 3, max_pixels=9).key("a") != Decoding(8, 3).key("a")


def test_a_folder_named_as_a_picture_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x.png").mkdir()
    (tmp_path / "x.png/a.png").write_bytes(png())
    source = FolderSource(tmp_path)
    assert [source.name(0), len(source)] == ["x.png/a.png", 1]


def test_a_folder_that_cannot_be_listed_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot list the folder .*gone: No such file"):
        Directory(tmp_path / "gone").names()


def archive(path: Path, *names: str, content: bytes = b"", method: int = 8) -> bytearray:
    with zipfile.ZipFile(path, "w", method) as file:
        for name in names:
            file.writestr(name, content or png())
    return bytearray(path.read_bytes())


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        decode(FolderSource(path, limits=Limits(1000)), Decoding(8, 3), path.parent / "cache")
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Offsets in an entry of an archive's directory: of flags, method, and size when unpacked.
FLAGS, METHOD, UNPACKED = 8, 10, 24


@pytest.mark.parametrize(
    ("offset", "value", "said"),
    [
        (FLAGS, b"\x01\x00", "needs a password: unpack it"),
        (METHOD, b"\x09\x00", "is packed by Deflate64, which Python cannot unpack: unpack it"),
        (UNPACKED, struct.pack("<I", 10), r"a.png \(damaged in the archive: Bad CRC-32"),
        (UNPACKED, struct.pack("<I", 2**31), r"a.png \(more than the 64 MiB that"),
    ],
)
def test_archives_that_are_not_what_they_say(
    tmp_path: Path, offset: int, value: bytes, said: str
) -> None:
    path = tmp_path / "set.zip"
    content = archive(path, "a.png")
    start = content.rindex(b"PK\x01\x02") + offset
    content[start : start + len(value)] = value
    path.write_bytes(content)
    assert re.search(said, refusal(path))


@pytest.mark.parametrize(
    ("method", "claimed", "reason"),
    [
        (zipfile.ZIP_DEFLATED, None, "more than the 64 MiB"),
        (zipfile.ZIP_DEFLATED, 1000, "damaged in the archive"),
        (zipfile.ZIP_BZIP2, 1000, "more than the 64 MiB"),
    ],
)
def test_what_an_archive_unpacks_to_is_bounded(
    tmp_path: Path, method: int, claimed: int | None, reason: str
) -> None:
    path = tmp_path / "set.zip"
    content = archive(path, "a.png", content=bytes(100 * MIB), method=method)
    if claimed is not None:
        start = content.rindex(b"PK\x01\x02") + UNPACKED
        content[start : start + 4] = struct.pack("<I", claimed)
        path.write_bytes(content)
    tracemalloc.start()
    try:
        said = refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 90 * MIB
    finally:
        tracemalloc.stop()
    assert reason in said


def test_archives_of_every_method_are_read(tmp_path: Path) -> None:
    for method in (0, 8, 12, 14):
        archive(tmp_path / f"{method}.zip", "a.png", content=png(), method=method)
        assert FolderSource(tmp_path / f"{method}.zip").read(0).size == (20, 20)


def test_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    archive(tmp_path / "set.zip", "b.png", "a.png", "../a.png", "/a.png")
    assert "has 3 files named a.png: unpack it" in refusal(tmp_path / "set.zip")


def test_a_link_in_an_archive_is_no_picture(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("x.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
        file.writestr(link, "a.png")
    assert "x.png (a link in an archive)" in refusal(tmp_path / "set.zip")


def test_a_pipe_is_no_archive(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "set.zip")
    assert refusal(tmp_path / "set.zip").endswith("is neither a folder nor a zip archive")
