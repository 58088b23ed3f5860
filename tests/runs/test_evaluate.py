"""`trompe evaluate`: the value of training again, and any two sets of images."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

from tests.conftest import FAMILIES, TINY, Trompe
from trompe.command import config_dir
from trompe.errors import UserError
from trompe.tasks.evaluate import evaluate

RANDOM = ["metrics=[random_conv]", "metrics.random_conv.measures=[fd,kd,precision,recall,coverage]"]


def pictures(folder: Path, count: int, seed: int, size: int = 16, gray: bool = False) -> Path:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for i in range(count):
        small = rng.integers(0, 256, (4, 4) if gray else (4, 4, 3), dtype=np.uint8)
        Image.fromarray(small).resize((size, size)).save(folder / f"{i}.png")
    return folder


def test_evaluate_gives_the_value_of_training(trompe: Trompe) -> None:
    trompe("train", *TINY, *FAMILIES["dcgan"])
    (run,) = trompe.runs()
    tracked = run.read_metrics()[-1]["fd_random_conv"]
    same = [f"metrics.random_conv.{key}=40" for key in ("n_images", "n_reference")]
    arguments = [f"run={run.path}", "checkpoint=last", *RANDOM, *same]
    out = trompe("evaluate", *arguments).stdout
    (path,) = (run.path / "evaluations").iterdir()
    assert str(path) in out and path.name.startswith("last_0.192_")
    card = json.loads(path.read_text())
    assert card["values"]["fd_random_conv"]["value"] == tracked
    assert list(card["values"]) == [
        f"{name}_random_conv" for name in ("fd", "kd", "precision", "recall", "coverage")
    ]
    for name, entry in card["values"].items():
        low, high = entry["interval_95"]
        assert low <= entry["value"] <= high and name in out
    facts = run.read_facts()["protocols"]["fd_random_conv"]
    assert {**card["protocols"]["fd_random_conv"], "seed": card["subject"]["seed"]} == facts


def test_evaluate_two_sets_of_images(trompe: Trompe) -> None:
    some, other = (pictures(trompe.folder / name, 30, i) for i, name in enumerate("ab"))
    out = trompe("evaluate", f"generated={some}", f"reference={some}", *RANDOM).stdout
    assert "30 images" in out
    values = json.loads((trompe.folder / "metric_card.json").read_text())["values"]
    assert values["fd_random_conv"]["value"] < 1e-6
    assert values["precision_random_conv"]["value"] == values["recall_random_conv"]["value"] == 1
    trompe("evaluate", f"generated={other}", f"reference={some}", "out=other.json", *RANDOM)
    apart = json.loads((trompe.folder / "other.json").read_text())["values"]
    assert apart["fd_random_conv"]["value"] > 1e-3
    trompe("evaluate", f"generated={other}", "reference=shapes", "out=shapes.json", *RANDOM)


def test_mistakes_of_evaluate_are_said(tmp_path: Path) -> None:
    some = pictures(tmp_path / "some", 3, 0)
    large = pictures(tmp_path / "large", 3, 1, size=20)
    gray = pictures(tmp_path / "gray", 3, 2, gray=True)
    mixed = pictures(tmp_path / "mixed", 3, 3)
    Image.new("RGB", (8, 8)).save(mixed / "small.png")
    wide = tmp_path / "wide"
    wide.mkdir()
    Image.new("RGB", (8, 6)).save(wide / "wide.png")
    against = f"reference={some}"
    for arguments, said in [
        ([], "run=FOLDER"),
        ([f"generated={some}"], "both generated= and reference="),
        ([f"generated={some}", "reference=nowhere"], "neither a folder"),
        ([f"generated={large}", against], "20x20 px with 3 channel(s) and 16x16 px"),
        ([f"generated={gray}", against], "16x16 px with 1 channel(s) and 16x16 px with 3"),
        ([f"generated={mixed}", against], "pictures of 2 sizes (3 of 16x16, 1 of 8x8)"),
        ([f"generated={wide}", against], "8x6 px: make them square"),
        (
            [f"generated={some}", against],
            "precision: k=3 nearest neighbors need more than 3 images",
        ),
        ([f"generated={some}", against, "metrics=[]"], "measures nothing"),
    ]:
        chosen = arguments if "metrics=[]" in arguments else [*RANDOM, *arguments]
        out = [f"out={tmp_path / 'card.json'}", f"paths.cache_dir={tmp_path / 'cache'}"]
        with initialize_config_dir(config_dir(), version_base="1.3"):
            cfg = compose("evaluate", [*chosen, *out])
            with pytest.raises(UserError, match=re.escape(said)):
                evaluate(cfg)
    assert not (tmp_path / "card.json").exists()


def test_a_missing_run_is_one_line(trompe: Trompe) -> None:
    assert "no run folder at nowhere" in trompe.fails("evaluate", "run=nowhere")


SCRIPT = """
import json, sys, torch
from trompe.metrics.feature_comparison import FeatureComparison
from trompe.methods.capabilities import Images
from trompe.metrics.features import RandomConv
from tests.unit.test_frechet import Photographs, images
rank, world, store = int(sys.argv[1]), int(sys.argv[2]), f"file://{sys.argv[3]}"
torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=world)
some = images(1003, 16)
metric = FeatureComparison(RandomConv(dim=16), ["fd", "kd", "precision", "coverage"], 1003, 500)
metric.prepare(Photographs(some=images(300, 16, seed=1)))
# With blocks of 512 there are two of them, so that a third process has none.
for numbers in torch.arange(1003).split(512)[rank::world]:
    metric.update(Images(some[numbers]), numbers)
print(json.dumps({name: score.value for name, score in metric.compute().items()}))
"""


def values_of(world: int, folder: Path) -> list[dict[str, float]]:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(rank), str(world), str(folder / f"store{world}")],
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    return [json.loads(process.communicate(timeout=120)[0]) for process in processes]


def test_one_two_and_three_processes_agree(tmp_path: Path) -> None:
    (alone,) = values_of(1, tmp_path)
    for world in (2, 3):
        for values in values_of(world, tmp_path):
            assert values == pytest.approx(alone, rel=1e-9)
