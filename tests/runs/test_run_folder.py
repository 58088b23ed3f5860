"""What a finished run leaves behind, and what `trompe sample` makes of it."""

import json
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from tests.conftest import FAMILIES, TINY, Trompe, load
from trompe.runs.run_folder import RunFolder


def test_a_run_folder_is_complete(trompe: Trompe) -> None:
    out = trompe("train", *TINY, *FAMILIES["dcgan"], "seed=3").stdout
    (run,) = trompe.runs()
    assert str(run.path / "samples") in out and str(run.path / "curves.png") in out
    config = yaml.safe_load((run.path / "config.yaml").read_text())
    assert config["seed"] == 3 and config["model"]["generator"]["resolution"] == 16
    assert "${" not in (run.path / "config.yaml").read_text()
    assert "seed=3" in yaml.safe_load((run.path / "overrides.yaml").read_text())
    facts = json.loads((run.path / "run.json").read_text())
    assert facts["status"] == "done" and facts["kimg"] == 0.192 and facts["seed"] == 3
    assert facts["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert {"host", "cpu", "precision", "devices"} <= facts["hardware"].keys()
    assert {"commit", "dirty_diff", "trompe"} <= facts["code"].keys()
    assert len(facts["data_fingerprint"]) >= 16
    assert facts["command"][:2] == ["trompe", "train"]
    records = run.read_metrics()
    assert [r["tick"] for r in records] == [1, 2, 3, 4]
    assert {"kimg", "loss/generator", "loss/discriminator", "logits/real"} <= records[0].keys()
    assert ["fd_random_conv" in r for r in records] == [False, True, False, True]
    best = min(r["fd_random_conv"] for r in records if "fd_random_conv" in r)
    assert facts["best"]["value"] == best
    assert facts["protocols"]["fd_random_conv"]["n_images"] == 40
    grids = sorted(p.name for p in (run.path / "samples").iterdir())
    assert grids == [*(f"00000.{n}.png" for n in ("000", "048", "096", "192")), "real.png"]
    assert not [p for p in run.path.rglob("*") if "tmp" in p.name]
    checkpoint = load(run.last_checkpoint)
    assert checkpoint["config"] == config
    assert load(run.best_checkpoint)["clock"]["images"] in (96, 192)


def test_commit_and_dirty_diff_are_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import trompe as package
    from trompe.runs import provenance

    root = tmp_path / "checkout"
    module = root / "src" / "trompe" / "__init__.py"
    module.parent.mkdir(parents=True)
    module.write_text("a = 1\n")
    git = ["git", "-C", str(root), "-c", "user.name=t", "-c", "user.email=t@t"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    monkeypatch.setattr(package, "__file__", str(module))
    clean = provenance.describe_code()
    assert len(clean["commit"]) == 40 and clean["dirty_diff"] == ""
    module.write_text("a = 2\n")
    assert "+a = 2" in provenance.describe_code()["dirty_diff"]


def test_sample_writes_the_same_images_for_a_seed(trompe: Trompe) -> None:
    trompe("train", *TINY, *FAMILIES["sndcgan"], "kimg=0.096")
    (run,) = trompe.runs()
    out = trompe("sample", f"run={run.path}", "n=5").stdout
    folder = run.path / "generated" / "best_0.096"
    assert str(folder / "grid.png") in out
    assert [p.name for p in sorted((folder / "images").iterdir())] == [
        f"{i:04d}.png" for i in range(5)
    ]
    with Image.open(folder / "interpolation.gif") as animation:
        # Pillow joins equal neighbors into one longer frame.
        assert 1 < animation.n_frames <= 5 * 12
    with Image.open(folder / "interpolation.png") as strip:
        assert strip.size == (8 * 18 - 2, 4 * 18 - 2)
    # Once more: beside what is there.
    assert "best_0.096_2/grid.png" in trompe("sample", f"run={run.path}", "n=2").stdout
    assert len([*(folder / "images").iterdir()]) == 5
    trompe("sample", f"run={run.path}", "n=3", "overwrite=true")
    assert len([*(folder / "images").iterdir()]) == 3
    trompe("sample", f"run={run.path}", "n=5", "overwrite=true")
    elsewhere = trompe.folder / "out"
    trompe("sample", f"run={run.path}", "seeds=[4,1-2]", "checkpoint=last", f"out={elsewhere}")
    for seed in (1, 2, 4):
        name = f"images/{seed:04d}.png"
        assert (folder / name).read_bytes() == (elsewhere / name).read_bytes()
    assert "overwrite=true" in trompe.fails("sample", f"run={run.path}", f"out={elsewhere}")
    assert "seeds=" in trompe.fails("sample", f"run={run.path}", "seeds=1-x")
    assert "neither best nor last" in trompe.fails("sample", f"run={run.path}", "checkpoint=first")


def test_all_loggers_at_once_go_on_under_their_ids(trompe: Trompe) -> None:
    loggers = "logger=[csv,tensorboard,local,wandb_offline]"
    trompe("train", *TINY, *FAMILIES["mlp_gan"], "kimg=0.096", loggers)
    (run,) = trompe.runs()
    ids = run.read_facts()["trackers"]
    assert ids["local"] and ids["wandb_offline"]
    trompe("train", f"run={run.path}", "kimg=0.192")
    assert run.read_facts()["trackers"] == ids
    rows = (run.path / "metrics.csv").read_text().splitlines()
    assert len(rows) == 5 and rows[0].startswith("kimg")
    (events,) = (run.path / "tensorboard").iterdir()
    assert len(list(events.glob("events*"))) == 2
    offline = list(run.path.glob("wandb/offline-run-*"))
    assert len(offline) == 2 and all(p.name.endswith(ids["wandb_offline"]) for p in offline)
    with sqlite3.connect(next((trompe.outputs / "trackio").glob("trompe*.db"))) as store:
        names = {name for (name,) in store.execute("select distinct run_name from metrics")}
        assert names == {run.read_facts()["shown"]["name"]} == {events.name}


def test_a_run_is_the_same_wherever_it_lies_and_a_copy_is_another(trompe: Trompe) -> None:
    """In a dashboard too: a renamed run goes on as what it was there."""
    overrides = [o for o in TINY if not o.startswith("logger")]
    trompe("train", *FAMILIES["mlp_gan"], *overrides, "logger=[local]", "kimg=0.048")
    (run,) = trompe.runs()
    known = run.read_facts()
    renamed = RunFolder(run.path.with_name("mine"))
    run.path.rename(renamed.path)
    trompe("train", f"run={renamed.path}", "kimg=0.096")
    moved = renamed.read_facts()
    for key in ("id", "name", "shown", "trackers"):
        assert moved[key] == known[key]
    assert moved["path"] == str(renamed.path)
    copy = RunFolder(run.path.with_name("copy"))
    shutil.copytree(renamed.path, copy.path)
    trompe("train", f"run={copy.path}", "kimg=0.144")
    copied = copy.read_facts()
    assert copied["copy_of"] == known["id"] != copied["id"]
    assert copied["name"] == "copy" and copied["trackers"] != known["trackers"]
    assert copied["shown"]["name"].endswith(" · copy")
    assert renamed.read_facts() == moved
