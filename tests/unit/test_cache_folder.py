"""Caches that cannot be written, and what killed processes leave in them."""

import resource
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.unit.test_cache import Arrays, entries, noise, same
from trompe.cache_folder import writing
from trompe.data.cache import decode
from trompe.data.decoding import Decoding
from trompe.data.picture_folder import FolderSource
from trompe.data.shapes import Shapes
from trompe.errors import UserError
from trompe.metrics.features import RandomConv
from trompe.metrics.reference import load_reference

SPLIT = {"validation_fraction": 0.0, "split_seed": 0, "flip": False, "memory_limit_mb": 16}


def test_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    # A limit on file sizes makes writes fail as a full disk does.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        with pytest.raises(UserError, match=r"cannot write the decoded images .*paths.cache_dir"):
            decode(Arrays(noise(50, 32, 32)), Decoding(32, 3), tmp_path, memory_limit_mb=0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert entries(tmp_path) == []


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("in the way")
    images = noise(10)
    images[3] = np.zeros((8, 8, 9), np.uint8)
    skip = Decoding(8, 3, on_corrupt="skip")
    decoded = decode(Arrays(images), skip, in_the_way)
    assert [r.levelname for r in caplog.records] == ["WARNING"] * 2
    assert "cannot write the decoded images" in caplog.text and "kept in memory" in caplog.text
    assert "1 of 10 images" in caplog.messages[1]
    assert same(decoded, decode(Arrays(images), skip, tmp_path / "cache"))
    with pytest.raises(UserError, match=r"cannot write the decoded images .*paths.cache_dir"):
        decode(Arrays(noise(2)), Decoding(8, 3), in_the_way, memory_limit_mb=0)


def test_other_caches_that_cannot_be_written_are_done_without_silently(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("in the way")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    cached, not_cached = (FolderSource(tmp_path, cache_dir=c) for c in (None, in_the_way))
    assert cached.fingerprint() == not_cached.fingerprint()
    data = Shapes(8, 0, resolution=8, channels=3, cache_dir=str(tmp_path / "cache"), **SPLIT)
    data.setup()
    features = RandomConv(dim=4)
    kept = load_reference(features, data, "train", 8, tmp_path / "cache")
    assert torch.equal(
        load_reference(features, data, "train", 8, in_the_way).features, kept.features
    )
    assert not caplog.records and not "".join(capsys.readouterr())


def test_what_a_killed_process_left_is_removed_once_nobody_writes(tmp_path: Path) -> None:
    images = tmp_path / "images"
    left = [images / ".abc.0123abcd.tmp", tmp_path / "reference/.key.0123abcd.tmp"]
    with writing(tmp_path):  # as another process does, whose these may be
        left[0].mkdir(parents=True)
        (left[0] / "images.npy").write_bytes(b"half")
        left[1].parent.mkdir()
        left[1].write_bytes(b"half")
        (images / ".mine").write_text("no temporary name")
        decode(Arrays(noise(2)), Decoding(8, 3), tmp_path)
        assert all(path.exists() for path in left)
    decoded = decode(Arrays(noise(3)), Decoding(8, 3), tmp_path)
    assert not any(path.exists() for path in left)
    assert {".mine", decoded.fingerprint} < set(entries(tmp_path)) and len(entries(tmp_path)) == 3
