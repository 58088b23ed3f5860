"""One picture is restored: in a run folder like any other, and by a command of its own."""

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import png
import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

from tests.conftest import Trompe, difference, load, values
from trompe.command import config_dir
from trompe.errors import UserError
from trompe.tasks.restore import restore

SIDES = (48, 40)  # width, height
SMALL = ["model.network.widths=[8,8,8]", "model.network.skips=[2,2,2]", "model.network.inputs=4"]
TINY = [
    "experiment=restore_denoise",
    "hourglass@model.network=small",
    *SMALL,
    "data.size=40",
    "tick_kimg=0.01",
    "kimg=0.08",
    "samples.every_kimg=0.02",
    "model.stopping.window=5",
    "model.fall_back_every=15",
    "logger=[]",
    "trainer=cpu",
]
RESULT = ("state_dict", "optimizer_states", "clock")


def save(path: Path, array: np.ndarray) -> None:
    Image.fromarray(array).save(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A picture, one of 16 bits with transparency, a mask, and what does not fit them."""
    width, height = SIDES
    y, x = np.mgrid[:height, :width]
    good = np.stack([x * 5, y * 6, 255 - x * 4], -1).astype(np.uint8)
    save(tmp_path / "good.png", good)
    opacity = np.where(x < 10, 30000, 65535)[..., None]
    rows = (
        np.concatenate([good.astype(np.int64) * 257, opacity], -1)
        .astype(np.uint16)
        .reshape(height, -1)
    )
    with (tmp_path / "fine.png").open("wb") as file:
        png.Writer(width, height, greyscale=False, alpha=True, bitdepth=16).write(file, rows)
    mask = np.zeros((height, width), np.uint8)
    mask[10:16, 5:30] = 255
    save(tmp_path / "mask.png", mask)
    save(tmp_path / "no_gap.png", 0 * mask)
    save(tmp_path / "other.png", mask[:30])
    return tmp_path


def test_killed_and_resumed_equals_uninterrupted(trompe: Trompe) -> None:
    trompe("train", *TINY, "name=whole")
    whole = trompe.runs()[-1]
    killed = trompe.stop_after(2, signal.SIGKILL, "train", *TINY, "name=killed")
    assert killed.read_facts()["status"] == "running"
    trompe("train", f"run={killed.path}")
    a, b = load(whole.last_checkpoint), load(killed.last_checkpoint)
    assert difference({k: a[k] for k in RESULT}, {k: b[k] for k in RESULT}) is None
    assert values(whole) == values(killed) and len(values(whole)) == 8
    assert (whole.path / "restored.png").read_bytes() == (killed.path / "restored.png").read_bytes()
    told = json.loads((whole.path / "restored.json").read_text())
    assert told["chosen"] == "stopped" and told["last"]["iterations"] == 80
    assert told["peak"]["psnr"] >= told["last"]["psnr"] - 1e-4
    assert told["stopped"]["iterations"] <= 80 and 0 < told["plain"]["ssim"] < 1
    for name in ("restoring.png", "curves.png"):
        with Image.open(whole.path / name) as picture:
            assert min(picture.size) > 200


def test_it_ends_when_it_has_settled(trompe: Trompe) -> None:
    trompe("train", *TINY, "kimg=2", "model.stopping.patience=7", "model.optimizer.lr=1e-9")
    (run,) = trompe.runs()
    assert run.read_facts()["status"] == "done"
    assert run.read_facts()["kimg"] < 1  # nothing changes but by the noise of the input
    told = json.loads((run.path / "restored.json").read_text())
    ticks = run.read_facts()["kimg"] * 100
    assert told["last"]["iterations"] - told["stopped"]["iterations"] >= 7
    assert ticks == pytest.approx(told["last"]["iterations"] / 10)
    trompe("train", f"run={run.path}")  # it is still settled
    assert len(run.read_metrics()) <= ticks + 1


def test_the_command_keeps_depth_and_transparency(trompe: Trompe, pictures: Path) -> None:
    words = ["task=inpaint", "fine.png", "mask=mask.png", "reference=good.png"]
    words += ["network=small", "iterations=20"]
    assert "restored/fine.png" in trompe("restore", *words).stdout
    (run,) = trompe.runs()
    restored = pictures / "restored" / "fine.png"
    assert restored.read_bytes() == (run.path / "restored.png").read_bytes()
    found, given = (
        np.vstack([np.array(row) for row in png.Reader(bytes=path.read_bytes()).asDirect()[2]])
        for path in (restored, pictures / "fine.png")
    )
    shape = (SIDES[1], SIDES[0], 4)
    found, given = found.reshape(shape), given.reshape(shape)
    with Image.open(pictures / "mask.png") as mask:
        gaps = np.asarray(mask) > 0
    np.testing.assert_array_equal(found[~gaps], given[~gaps])  # to the last of 16 bits
    assert (found[gaps][:, :3] != given[gaps][:, :3]).any()
    np.testing.assert_array_equal(found[..., 3], given[..., 3])
    assert "already exists" in trompe.fails("restore", *words)
    trompe("reproduce", f"run={run.path}")
    for command in ("sample", "evaluate", "export"):
        message = trompe.fails(command, f"run={run.path}")
        assert f"trompe {command} does not work with the model of" in message
        assert "restored.png" in message


def test_a_larger_picture_comes_out(trompe: Trompe, pictures: Path) -> None:
    words = ["task=upscale", "picture=other.png", "factor=2", "network=small", "iterations=3"]
    trompe("restore", *words, "channels=1")
    with Image.open(pictures / "restored" / "other.png") as picture:
        assert picture.size == (96, 60) and picture.mode == "L"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("task=sharpen", "task=sharpen must be one of denoise, jpeg, upscale, inpaint, hole"),
        ("task=inpaint", "task=inpaint needs mask="),
        ("task=denoise mask=mask.png", "mask=mask.png means nothing to task=denoise"),
        ("task=hole mask=other.png", "other.png has 48 x 30 pixels, but the picture has 48 x 40"),
        ("task=inpaint mask=no_gap.png", "mask=no_gap.png is white nowhere"),
        ("task=inpaint mask=none.png", "mask=none.png cannot be read"),
        ("task=denoise picture=none.png", "picture=none.png cannot be read"),
        ("task=denoise reference=other.png", "other.png has 48 x 30 pixels, but the restored"),
        ("task=upscale factor=1", "factor=1 must be at least 2"),
        ("task=upscale kernel=blur", "kernel=blur is not known: choose one of lanczos2"),
        ("task=denoise size=8", "12 x 10 pixels|10 x 8 pixels"),
        ("task=denoise iterations=0", "iterations=0 must be a whole number of at least 1"),
        ("task=denoise memory_gib=0.001", "pixels takes about"),
        ("task=denoise run=x", "run=x means nothing to task=denoise: leave it out"),
        ("task=denoise tile=64", "tile=64 is for a trained run: give run="),
        ("task=upscale run=x", "network=small means nothing to a trained run"),
        ("task=denoise memory_gib=-1", "memory_gib=-1 must be a number above 0"),
    ],
)
def test_mistakes_are_one_line(
    words: str, said: str, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pictures)
    given: list[Any] = ["picture=good.png", "network=small", *words.split()]
    with initialize_config_dir(config_dir(), version_base="1.3"):
        cfg = compose("restore", given)
        with pytest.raises(Exception, match=said) as error:
            restore(cfg)
    assert isinstance(error.value, UserError) or isinstance(error.value.__cause__, UserError)
    assert not (pictures / "outputs").exists() and not (pictures / "restored").exists()


def test_a_picture_that_cannot_be_thinned_out_is_one_line(trompe: Trompe) -> None:
    upscale = ["experiment=restore_upscale", "data.size=50", "data.degradation.factor=7"]
    assert "factor=7 must divide the" in trompe.fails("train", *upscale)
    assert "batch_size=2 must be 1" in trompe.fails("train", *TINY, "batch_size=2")
