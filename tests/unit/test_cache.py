"""Decoding into the cache: what comes out, what is refused, and that it is whole or not there."""

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trompe.data.cache import DecodedSet, decode
from trompe.data.decoding import Decoding
from trompe.data.picture_folder import FolderSource
from trompe.data.source import Source
from trompe.errors import UserError


class Arrays(Source):
    """Images in memory; `watch` is told of every read."""

    def __init__(self, images: list, watch: Callable[[int], None] = lambda index: None) -> None:
        self.images = images
        self.watch = watch
        self.labels = np.arange(len(images)) % 2
        self.class_names = ["even", "odd"]

    def fingerprint(self) -> str:
        return f"arrays {len(self.images)}"

    def read(self, index: int) -> Image.Image | np.ndarray:
        self.watch(index)
        return self.images[index]


def noise(count: int, height: int = 8, width: int = 8) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return list(random.integers(0, 256, (count, height, width, 3), dtype=np.uint8))


def one(image: Image.Image | np.ndarray, cache: Path, decoding: Decoding) -> torch.Tensor:
    return decode(Arrays([image]), decoding, cache).images[0]


def entries(cache: Path) -> list[str]:
    """Everything in the cache's folder of images, hidden names too."""
    folder = cache / "images"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def same(a: DecodedSet, b: DecodedSet) -> bool:
    facts = (a.fingerprint, a.class_names) == (b.fingerprint, b.class_names)
    return facts and torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels)


# 100 images are more than one task of a thread.
@pytest.mark.parametrize("memory_limit_mb", [0, 512])
def test_images_keep_order_and_pixels(tmp_path: Path, memory_limit_mb: int) -> None:
    images = noise(100)
    decoded = decode(Arrays(images), Decoding(8, 3), tmp_path, memory_limit_mb)
    assert decoded.images.dtype == torch.uint8 and decoded.labels.dtype == torch.int64
    expected = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    assert torch.equal(decoded.images, expected)
    assert torch.equal(decoded.labels, torch.arange(100) % 2)
    assert decoded.class_names == ["even", "odd"]


def test_second_time_nothing_is_decoded(tmp_path: Path) -> None:
    first = decode(Arrays(noise(5)), Decoding(8, 3), tmp_path)
    read: list[int] = []
    again = decode(Arrays(noise(5), read.append), Decoding(8, 3), tmp_path)
    assert same(first, again) and read == []
    for other in (Decoding(4, 3), Decoding(8, 1), Decoding(8, 3, "box")):
        assert decode(Arrays(noise(5)), other, tmp_path).fingerprint != first.fingerprint
    assert len(entries(tmp_path)) == 4


def test_center_square_is_kept(tmp_path: Path) -> None:
    (wide,) = noise(1, 8, 14)
    tall = wide.transpose(1, 0, 2)
    expected = torch.from_numpy(wide[:, 3:11].transpose(2, 0, 1).copy())
    assert torch.equal(one(wide, tmp_path / "a", Decoding(8, 3)), expected)
    assert torch.equal(one(tall, tmp_path / "b", Decoding(8, 3)), expected.transpose(1, 2))


def test_what_is_cropped_does_not_leak_in(tmp_path: Path) -> None:
    image = np.full((32, 64, 3), 100, dtype=np.uint8)
    image[:, :16] = image[:, 48:] = 255
    assert (one(image, tmp_path, Decoding(4, 3)) == 100).all()


def test_resize_filter_matters_and_is_antialiased(tmp_path: Path) -> None:
    (image,) = noise(1, 64, 64)
    sizes = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
    results = [one(image, tmp_path / n, Decoding(8, 3, n)) for n in sizes]
    assert len({r.numpy().tobytes() for r in results}) == 6
    means = image.reshape(8, 8, 8, 8, 3).mean((1, 3)).transpose(2, 0, 1)
    assert np.abs(results[1].numpy() - means).max() <= 1
    # Noise of 64 pixels averages out; `nearest` keeps it.
    assert all(r.float().std() < 25 for r in results[1:]) and results[0].float().std() > 60


def test_unknown_filter_is_refused_listing_the_valid(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data.resize_filter=lancsoz .*bicubic.*lanczos"):
        Decoding(8, 3, "lancsoz")


@pytest.mark.parametrize(
    ("decoding", "said"),
    [
        ({"resolution": 0, "channels": 3}, "data.resolution=0"),
        ({"resolution": 8, "channels": 2}, "data.channels=2"),
        ({"resolution": 8, "channels": 3, "on_corrupt": "ignore"}, "data.on_corrupt=ignore"),
    ],
)
def test_meaningless_settings_are_refused(decoding: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Decoding(**decoding)


def test_photographs_stand_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 8), "white")
    image.paste("black", (0, 0, 8, 4))
    exif = image.getexif()
    exif[0x0112] = 6  # turned to the right by 90 degrees
    (tmp_path / "set").mkdir()
    image.save(tmp_path / "set/a.png", exif=exif)
    upright = decode(FolderSource(tmp_path / "set"), Decoding(8, 1), tmp_path).images[0, 0]
    assert (upright[:, :4] == 255).all() and (upright[:, 4:] == 0).all()


def test_small_images_are_refused_or_enlarged(tmp_path: Path) -> None:
    images = [*noise(2, 16, 16), *noise(7, 9, 8)]
    with pytest.raises(UserError) as caught:
        decode(Arrays(images), Decoding(9, 3), tmp_path)
    message = str(caught.value)
    assert "7 of 9 images" in message and "smaller than 9 pixels" in message
    assert "image 2, image 3, image 4, image 5, image 6, ...)" in message
    assert "set data.allow_upscale=true or a smaller data.resolution" in message
    assert entries(tmp_path) == []
    enlarged = decode(Arrays(images), Decoding(9, 3, allow_upscale=True), tmp_path)
    assert enlarged.images.shape == (9, 3, 9, 9)
    # What the cache allows does not depend on who filled it.
    with pytest.raises(UserError, match="7 of 9 images"):
        decode(Arrays(images), Decoding(9, 3), tmp_path)


@pytest.fixture
def torn(tmp_path: Path) -> Path:
    """20 JPEG files, of which 7 are cut off, or no images at all."""
    folder = tmp_path / "torn"
    folder.mkdir()
    for i, pixels in enumerate(noise(20, 32, 32)):
        file = folder / f"{i:02}.jpg"
        Image.fromarray(pixels).save(file)
        if i % 3 == 0:
            content = file.read_bytes()
            file.write_bytes(content[: len(content) * 2 // 3] if i % 2 else b"<html>" * 9)
    return folder


def test_corrupt_images_are_refused_by_name(torn: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        decode(FolderSource(torn), Decoding(32, 3), tmp_path)
    assert "7 of 20 images" in str(caught.value) and str(torn) in str(caught.value)
    kinds = ["not a picture of a kind that Pillow knows", "cut off"]
    named = ", ".join(f"{3 * i:02}.jpg ({kinds[i % 2]})" for i in range(5))
    assert f": {named}, ...;" in str(caught.value)
    assert "set data.on_corrupt=skip to leave them out" in str(caught.value)
    assert entries(tmp_path) == []


def test_corrupt_images_are_skipped_with_a_word(
    torn: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    skip = Decoding(32, 1, on_corrupt="skip")
    with caplog.at_level(logging.WARNING):
        decoded = decode(FolderSource(torn), skip, tmp_path)
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "7 of 20 images" in caplog.text and "03.jpg" in caplog.text
    good = [i for i in range(20) if i % 3]
    assert decoded.images.shape == (13, 1, 32, 32) and len(decoded.labels) == 13
    for image, i in zip(decoded.images, good, strict=True):
        with Image.open(torn / f"{i:02}.jpg") as expected:
            assert np.array_equal(image[0].numpy(), np.asarray(expected.convert("L")))
    (folder,) = entries(tmp_path)
    meta = json.loads((tmp_path / "images" / folder / "meta.json").read_text())
    assert meta["skipped"] == [f"{i:02}.jpg" for i in range(0, 20, 3)]
    said = caplog.messages
    caplog.clear()
    assert same(decode(FolderSource(torn), skip, tmp_path), decoded)
    assert caplog.messages == said and "03.jpg (cut off)" in said[0]
    with pytest.raises(UserError, match=r"data.on_corrupt=skip"):
        decode(FolderSource(torn), Decoding(32, 1), tmp_path)


def test_labels_of_skipped_images_are_left_out_too(tmp_path: Path) -> None:
    images = noise(4)
    images[1] = np.zeros((8, 8, 9), np.uint8)
    decoded = decode(Arrays(images), Decoding(8, 3, on_corrupt="skip"), tmp_path)
    assert decoded.labels.tolist() == [0, 0, 1]


@pytest.mark.parametrize("on_corrupt", ["error", "skip"])
def test_nothing_but_corrupt_images_is_refused(tmp_path: Path, on_corrupt: str) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/a.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"1 of 1 images .* cannot be decoded: a.png"):
        decode(FolderSource(tmp_path / "set"), Decoding(8, 3, on_corrupt=on_corrupt), tmp_path)
    assert entries(tmp_path) == []


def test_a_crash_leaves_no_cache(tmp_path: Path) -> None:
    def crash(index: int) -> None:
        if index == 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decode(Arrays(noise(80), crash), Decoding(8, 3), tmp_path)
    assert entries(tmp_path) == []
    assert len(decode(Arrays(noise(80)), Decoding(8, 3), tmp_path).images) == 80


def test_the_first_to_finish_wins(tmp_path: Path) -> None:
    winner: list[DecodedSet] = []
    lock = threading.Lock()

    def overtake(index: int) -> None:
        with lock:
            if not winner:
                winner.append(decode(Arrays(noise(9)), Decoding(8, 3), tmp_path))

    loser = decode(Arrays(noise(9), overtake), Decoding(8, 3), tmp_path)
    assert same(loser, winner[0])
    assert entries(tmp_path) == [loser.fingerprint]


@pytest.mark.parametrize("file", ["images.npy", "labels.npy", "meta.json"])
def test_damaged_cache_is_made_anew(tmp_path: Path, file: str) -> None:
    first = decode(Arrays(noise(9)), Decoding(8, 3), tmp_path)
    path = tmp_path / "images" / first.fingerprint / file
    path.write_bytes(path.read_bytes()[:-9])
    assert same(decode(Arrays(noise(9)), Decoding(8, 3), tmp_path), first)
