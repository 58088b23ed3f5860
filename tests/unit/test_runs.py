"""Run folders, config differences, pictures and seeds."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from trompe.errors import UserError
from trompe.images import make_grid, save_grid, to_uint8
from trompe.methods.capabilities import slerp
from trompe.runs.plots import draw_curves
from trompe.runs.resume import apply_change, differing_keys, find_unfinished, is_free
from trompe.runs.run_folder import RunFolder, new_run_path, open_run
from trompe.runs.shape import flatten
from trompe.tasks.sample import latent, parse_seeds


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(new_run_path(str(tmp_path), "experiment"))
    folder.create({"kimg": 1, "model": {"lr": 0.1}}, ["model.lr=0.1"], {"seed": 0})
    return folder


def test_folders_are_made_whole_and_read_back(run: RunFolder) -> None:
    assert sorted(p.name for p in run.path.iterdir()) == [
        "config.yaml",
        "overrides.yaml",
        "run.json",
    ]
    assert open_run(run.path).read_config() == {"kimg": 1, "model": {"lr": 0.1}}
    assert run.read_overrides() == ["model.lr=0.1"]
    run.update_facts(status="done", kimg=2.0)
    facts = run.read_facts()
    known = {key: facts.pop(key) for key in ("id", "path", "disk", "inode")}
    assert known == {**run.identity(), "inode": run.path.stat().st_ino}
    assert facts == {"seed": 0, "status": "done", "kimg": 2.0}
    assert list(run.path.parent.glob(".*")) == []


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot make the run folder"):
        RunFolder(tmp_path / "file" / "run").create({}, [], {})


def test_metrics_survive_a_torn_line_and_rewind(run: RunFolder) -> None:
    for tick in (1, 2, 3):
        run.append_metrics({"kimg": tick * 0.1, "loss": float("nan") if tick == 2 else 1.0})
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"kimg": 0.')
    assert [r["loss"] for r in run.read_metrics()] == [1.0, None, 1.0]
    run.rewind(0.2)
    assert [r["kimg"] for r in run.read_metrics()] == [0.1, 0.2]


def test_a_second_lock_is_refused(run: RunFolder) -> None:
    run.lock()
    with pytest.raises(UserError, match="another process"):
        RunFolder(run.path).lock()


def test_differing_keys() -> None:
    old = {"a": {"b": 1, "c": [1, 2]}, "kimg": 5}
    new = {"a": {"b": 2, "c": [1, 3]}, "kimg": 5, "d": 1}
    assert differing_keys(old, new) == {"a.b": (1, 2), "a.c.1": (2, 3), "d": (None, 1)}
    assert flatten({"a": {}}) == {"a": {}}
    assert is_free("logger.csv.project") and is_free("kimg") and not is_free("kimg_more")


def test_a_change_is_applied_to_what_was_recorded() -> None:
    recorded = {"a": {"b": 1, "c": 7}, "kimg": 5, "gone": 1}
    before = {"a": {"b": 1, "c": 2}, "kimg": 5, "gone": 1}
    after = {"a": {"b": 3, "c": 2}, "kimg": 5, "new": {"d": 1}}
    assert apply_change(recorded, before, after) == {
        "a": {"b": 3, "c": 7},  # c is another today, but that was not asked for
        "kimg": 5,
        "new": {"d": 1},
    }
    assert apply_change(recorded, before, before) == recorded


def test_auto_finds_the_newest_unfinished_run_of_the_same_config(tmp_path: Path) -> None:
    config = {"seed": 1, "logger": {}}
    for name, status, seed in (
        ("1", "running", 1),
        ("2", "interrupted", 1),
        ("3", "done", 1),
        ("4", "running", 2),
        ("5", "failed", 1),
    ):
        folder = RunFolder(tmp_path / "e" / name)
        folder.create({"seed": seed, "logger": {"csv": {}}}, [], {})
        folder.update_facts(status=status)
        if name != "5":
            folder.last_checkpoint.parent.mkdir()
            folder.last_checkpoint.write_text("")
    found = find_unfinished(str(tmp_path), "e", config)
    assert found is not None and found.path.name == "2"
    assert find_unfinished(str(tmp_path), "other", config) is None
    for name in ("1", "2"):
        RunFolder(tmp_path / "e" / name).last_checkpoint.unlink()
    found = find_unfinished(str(tmp_path), "e", config)
    assert found is not None and found.path.name == "5"


def test_curves_are_drawn(run: RunFolder) -> None:
    assert draw_curves(run) is None
    for tick in range(5):
        run.append_metrics({"kimg": tick, "loss/generator": 1.0, "fd_efflite0": 9.0 - tick})
    path = draw_curves(run)
    assert path is not None
    with Image.open(path) as picture:
        assert len(picture.getcolors(10**6) or []) > 50
        width = picture.width
    assert [p.name for p in run.path.glob("*curves*")] == ["curves.png"]
    run.append_metrics({"kimg": 5, "loss/generator": 1.0, "augment/probability": 0.1})
    again = draw_curves(run)
    assert again is not None
    with Image.open(again) as picture:
        assert picture.width == width * 3 // 2  # a panel of its own


def test_rounding_and_grids(tmp_path: Path) -> None:
    every = torch.arange(256, dtype=torch.float32)
    assert torch.equal(to_uint8(every / 127.5 - 1), every.to(torch.uint8))
    assert to_uint8(torch.tensor([-2.0, 2.0])).tolist() == [0, 255]
    images = torch.arange(5, dtype=torch.uint8)[:, None, None, None].expand(5, 3, 4, 4)
    grid = make_grid(images)
    assert grid.shape == (3, 10, 16)
    assert grid[0, 0, 6] == 1 and grid[0, 6, 6] == 4 and grid[0, 9, 15] == 255
    save_grid(images[:, :1], tmp_path / "new" / "grid.png", columns=5)
    with Image.open(tmp_path / "new" / "grid.png") as picture:
        assert picture.mode == "L" and picture.size == (28, 4)


def test_seeds_and_interpolation() -> None:
    assert parse_seeds(None, 3) == [0, 1, 2]
    assert parse_seeds("5, 1-3,2", 9) == [5, 1, 2, 3]
    assert parse_seeds(7, 1) == [7]
    assert parse_seeds([1, 2], 1) == [1, 2]
    for bad in ("a", "3-", "", "5-2"):
        with pytest.raises(UserError, match=r"seeds="):
            parse_seeds(bad, 1)
    a, b = latent(0, (100,)), latent(1, (100,))
    assert not torch.equal(a, b)
    torch.testing.assert_close(slerp(a, b, 0), a)
    torch.testing.assert_close(slerp(a, b, 1), b)
    # The middle keeps the length that a straight line would lose.
    assert slerp(a, b, 0.5).norm() > 0.95 * min(a.norm(), b.norm())
