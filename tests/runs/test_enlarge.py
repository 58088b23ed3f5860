"""Super-resolution trains like any other method, and its runs enlarge pictures."""

import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import TINY, Trompe, difference, load, values

MODEL = [
    "model=super_resolution",
    "data.resolution=24",
    "data.source_resolution=48",
    "data.squares=1",
    "model.generator.width=8",
    "model.generator.blocks=1",
    "model.discriminator.width=4",
    "model.discriminator.layers=1",
    "model.weights.pixel=1",
    "model.weights.adversarial=0.1",
    "evaluation.every_kimg=0.096",
    *(override for override in TINY if not override.startswith(("data", "metrics", "evaluation"))),
]
RESULT = ("state_dict", "optimizer_states", "clock", "callbacks")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    y, x = np.mgrid[:60, :75]
    pixels = np.stack([x * 3, y * 4, 128 + 100 * np.sin(x / 3)], -1).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "me.png")
    Image.fromarray(pixels).resize((150, 120)).save(tmp_path / "two.png")
    Image.fromarray(pixels).resize((300, 240)).save(tmp_path / "four.png")
    return tmp_path / "me.png"


def test_a_run_resumes_measures_and_enlarges(trompe: Trompe, picture: Path) -> None:
    model = [*MODEL, "model.generator.norm=batch"]
    said = trompe("train", *model, "name=whole").stdout
    whole = trompe.runs()[-1]
    use = f"trompe restore run={whole.path} task=upscale picture=<picture>"
    assert use in said
    killed = trompe.stop_after(1, signal.SIGKILL, "train", *model, "name=killed")
    trompe("train", f"run={killed.path}")
    a, b = load(whole.last_checkpoint), load(killed.last_checkpoint)
    assert difference({k: a[k] for k in RESULT}, {k: b[k] for k in RESULT}) is None
    assert values(whole) == values(killed)
    record = whole.read_metrics()[-1]
    names = ("psnr_y", "ssim_y", "perceptual_random_conv")
    assert all(record[name] > 0 and record[f"{name}_bicubic"] > 0 for name in names)
    assert record["psnr_y"] > record["psnr_y_bicubic"] - 3  # it began as bicubic enlargement

    restore = ["restore", "task=upscale", "picture=me.png", f"run={whole.path}"]
    told = trompe(*restore, "out=whole", "reference=four.png").stdout
    assert "300 x 240 pixels by" in told and "PSNR" in told
    assert "in tiles of 32 pixels" in trompe(*restore, "out=tiles", "tile=32").stdout
    one, other = (
        np.asarray(Image.open(trompe.folder / out / "me.png")).astype(int)
        for out in ("whole", "tiles")
    )
    assert one.shape == (240, 300, 3) and abs(one - other).max() <= 1
    for wrong, line in (
        ("factor=2", "enlarges 4 times"),
        ("reference=two.png", "two.png has 150 x 120 pixels, but the enlarged"),
        ("memory_gib=0.0001", "a tile of 32 pixels takes"),
        ("picture=none.png", "picture=none.png cannot be read"),
        ("checkpoint=first", "checkpoint=first is neither best nor last"),
        ("kernel=box", "kernel=box means nothing to a trained run"),
    ):
        assert line in trompe.fails(*restore, "out=wrong", wrong)
    assert not (trompe.folder / "wrong").exists()
    assert "use trompe restore" in trompe.fails("sample", f"run={whole.path}")


def test_two_processes_make_what_one_makes(trompe: Trompe) -> None:
    words = ["train", *MODEL, "kimg=0.048"]
    trompe(*words, "name=one")
    trompe(*words, "name=two", "trainer=ddp_cpu", "trainer.precision=32-true")
    one, two = (
        next(run for run in trompe.runs() if run.path.parent.name == name)
        for name in ("one", "two")
    )
    for a, b in zip(values(one), values(two), strict=True):
        assert a == pytest.approx(b, rel=1e-4, abs=1e-5)
