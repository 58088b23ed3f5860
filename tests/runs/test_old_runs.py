"""Run folders of an earlier version: they can be used, and not resumed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Trompe

OLD = Path(__file__).parents[1] / "data" / "old_runs"


@pytest.fixture
def old(trompe: Trompe) -> Path:
    shutil.copytree(OLD, trompe.outputs)
    return trompe.outputs


def test_an_old_gan_is_used_and_not_resumed(trompe: Trompe, old: Path) -> None:
    trompe("sample", f"run={old / 'gan'}", "n=2", "checkpoint=last")
    assert len(list((old / "gan").glob("generated/*/images/*.png"))) == 2
    same = [f"metrics.random_conv.n_{key}=40" for key in ("images", "reference")]
    evaluate = ["checkpoint=last", "metrics=[random_conv]", *same, "out=card.json"]
    trompe("evaluate", f"run={old / 'gan'}", *evaluate)
    value = json.loads((trompe.folder / "card.json").read_text())["values"]["fd_random_conv"]
    records = [json.loads(line) for line in (old / "gan/metrics.jsonl").read_text().splitlines()]
    assert value["value"] == pytest.approx(records[-1]["fd_random_conv"], rel=1e-4)
    assert "gan" in trompe("runs").stdout
    trompe("compare", str(old), "out=page.html")
    message = trompe.fails("train", f"run={old / 'gan'}", "kimg=1")
    assert "older version" in message and "cannot be resumed" in message
    before = json.loads((OLD / "gan/run.json").read_text())
    assert json.loads((old / "gan/run.json").read_text()) == before


def test_an_old_style_transfer_stylizes(trompe: Trompe, old: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(trompe.folder / "content.png")
    trompe("stylize", f"run={old / 'johnson'}", "content=content.png")
    with Image.open(trompe.folder / "stylized" / "content.png") as made:
        assert made.size == (32, 24)
