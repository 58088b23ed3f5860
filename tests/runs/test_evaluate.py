"""`trompe evaluate`: the value of training again, and any two sets of images."""

import json
import re
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image

from tests.conftest import FAMILIES, TINY, Trompe
from tests.unit.test_frechet import Photographs, images
from tests.warm import CONTEXT
from trompe import __version__
from trompe.command import config_dir
from trompe.errors import UserError
from trompe.methods.capabilities import Images
from trompe.metrics.feature_comparison import FeatureComparison
from trompe.metrics.features import RandomConv
from trompe.runs.ranking import Value, rank
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


def evaluated(folder: Path, *arguments: str) -> dict[str, Any]:
    """The card of an evaluation in this process."""
    out = [f"out={folder / 'card.json'}", f"paths.cache_dir={folder / 'cache'}"]
    with initialize_config_dir(config_dir(), version_base="1.3"):
        return json.loads(evaluate(compose("evaluate", [*arguments, *out])).read_text())


def of_sizes(folder: Path, *sizes: tuple[int, int], seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for i, (width, height) in enumerate(sizes):
        small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        small.resize((width, height)).save(folder / f"{i:02}.png")
    return folder


def test_squares_of_one_size_are_measured_as_ever(tmp_path: Path) -> None:
    # Values and protocol of the version before pictures of other shapes could be compared.
    some, other = (pictures(tmp_path / name, 30, i) for i, name in enumerate("ab"))
    card = evaluated(tmp_path, f"generated={some}", f"reference={other}", *RANDOM)
    values = {name: entry["value"] for name, entry in card["values"].items()}
    assert values == pytest.approx(
        {
            "fd_random_conv": 0.18486114,
            "kd_random_conv": -0.00067782591,
            "precision_random_conv": 26 / 30,
            "recall_random_conv": 28 / 30,
            "coverage_random_conv": 1,
        },
        rel=1e-4,
    )
    assert card["protocols"]["fd_random_conv"] == {
        "measure": "trompe.metrics.measures.fd",
        "better": "lower",
        "features": "random_conv",
        "features_sha256": RandomConv().fingerprint,
        "resizing": "bicubic-antialias to 32 px",
        "precision": "float32 features, float64 measures",
        "n_images": 30,
        "n_reference": 30,
        "split": "train",
        "data": "80326e2d30d3d21a69f6750921d84913",
        "version": __version__,
    }


def test_pictures_of_any_shape_are_each_resized_as_a_whole(tmp_path: Path) -> None:
    sizes = [(20, 20), (30, 18), (16, 40), (64, 64), (25, 25), (33, 21)]
    some = of_sizes(tmp_path / "some", *sizes)
    gray = pictures(tmp_path / "gray", 8, 1, gray=True)
    same = evaluated(tmp_path, f"generated={some}", f"reference={some}", *RANDOM)
    assert same["values"]["fd_random_conv"]["value"] < 1e-6
    how = same["protocols"]["fd_random_conv"]["pictures"]
    assert how == "each whole, from its own size to the network's square: its aspect is not kept"
    # The same, resized by hand.
    squeezed = tmp_path / "squeezed"
    squeezed.mkdir()
    for file in some.iterdir():
        with Image.open(file) as picture:
            picture.resize((32, 32), Image.Resampling.BICUBIC).save(squeezed / file.name)
    by_hand = evaluated(tmp_path, f"generated={squeezed}", f"reference={some}", *RANDOM)
    apart = evaluated(tmp_path, f"generated={gray}", f"reference={some}", *RANDOM)
    distances = [card["values"]["fd_random_conv"]["value"] for card in (by_hand, apart)]
    assert distances[0] < 1e-3 * distances[1]
    assert apart["protocols"]["fd_random_conv"]["pictures"].endswith("gray repeated as color")
    values = [
        Value(str(i), 1, card["protocols"]["fd_random_conv"])
        for i, card in enumerate((same, apart))
    ]
    with pytest.raises(UserError, match="pictures: "):
        rank("fd_random_conv", values)


def test_both_sets_are_brought_to_one_size_on_request(tmp_path: Path) -> None:
    wide = of_sizes(tmp_path / "wide", *[(40, 20)] * 5)
    squares = tmp_path / "squares"
    squares.mkdir()
    for file in wide.iterdir():
        with Image.open(file) as picture:
            middle = picture.crop((10, 0, 30, 20))
            middle.resize((16, 16), Image.Resampling.LANCZOS).save(squares / file.name)
    both = [f"generated={wide}", f"reference={squares}", *RANDOM]
    card = evaluated(tmp_path, *both, "resolution=16")
    assert card["values"]["fd_random_conv"]["value"] < 1e-6
    how = "center squares, resized to 16 px first, whether larger or smaller"
    assert card["protocols"]["fd_random_conv"]["pictures"] == how
    alike = evaluated(tmp_path, f"generated={squares}", f"reference={squares}", *RANDOM)
    assert "pictures" not in alike["protocols"]["fd_random_conv"]
    larger = evaluated(tmp_path, *both, "resolution=24")
    assert "24 px" in larger["protocols"]["fd_random_conv"]["pictures"]


def test_what_needs_more_images_is_listed_and_the_rest_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = pictures(tmp_path / "few", 4, 0)
    measures = "[fd,fd_infinity,kd,precision,coverage,memorization]"
    asked = ["metrics=[random_conv]", f"metrics.random_conv.measures={measures}"]
    card = evaluated(tmp_path, f"generated={few}", f"reference={few}", *asked)
    assert [*card["values"]] == [f"{name}_random_conv" for name in ("fd", "kd", "precision")]
    assert {*card["protocols"]} == {*card["values"]}
    assert card["undefined"] == {
        "memorization_random_conv": "there are no held-out images: set data.validation_fraction",
        "fd_infinity_random_conv": "an extrapolation needs at least 20 images, not 4",
        "coverage_random_conv": "k=5 nearest neighbors need at least 6 images, not 4",
    }
    said = capsys.readouterr().out
    assert "fd_infinity_random_conv   not measured: an extrapolation needs at least 20" in said


def test_mistakes_of_evaluate_are_said(tmp_path: Path) -> None:
    some = pictures(tmp_path / "some", 3, 0)
    single = pictures(tmp_path / "single", 1, 1)
    torn = of_sizes(tmp_path / "torn", *[(16, 16)] * 3)
    (torn / "01.png").write_bytes((torn / "01.png").read_bytes()[:-60])
    several = of_sizes(tmp_path / "several", (16, 16), (18, 16), (90, 90))
    (several / "02.png").write_bytes((several / "02.png").read_bytes()[:-60])
    against = f"reference={some}"
    infinity = "metrics.random_conv.measures=[fd_infinity]"
    for arguments, said in [
        ([], "run=FOLDER"),
        ([f"generated={some}"], "both generated= and reference="),
        ([f"generated={some}", "reference=nowhere"], "neither a folder"),
        ([f"generated={some}", "reference=unpaired"], "=unpaired names no set of images"),
        ([f"generated={some}", "reference=maps"], "=maps names no set of images"),
        ([f"generated={some}", "reference=style_demo"], "=style_demo names no set of images"),
        ([f"generated={some}", "reference=folder"], "=folder names no set of images"),
        ([f"generated={some}", "reference=base/images"], "=base/images names no set of images"),
        ([f"generated={single}", against], f"generated={single} has fewer than 2 images"),
        (
            [f"generated={torn}", against],
            f"1 of 3 images of generated={torn} cannot be decoded: 01.png (cut off)",
        ),
        (
            [f"generated={several}", against],
            f"1 of 3 images of generated={several} cannot be decoded: 02.png (cut off)",
        ),
        ([f"generated={some}", against, "max_pixels=255"], "16 x 16 pixels: more than max_pixels"),
        ([f"generated={some}", against, "resolution=0"], "resolution=0 must be"),
        ([f"generated={some}", against, "resolution=1000000000"], "must be at most 16384"),
        (["run=x", "resolution=16"], "resolution= is for two sets"),
        (
            [f"generated={some}", against, infinity],
            "nothing can be measured: fd_infinity_random_"
            "conv: an extrapolation needs at least 20 images, not 3",
        ),
        ([f"generated={some}", against, "metrics=[]"], "measures nothing"),
    ]:
        chosen = arguments if "metrics=[]" in arguments else [*RANDOM, *arguments]
        with pytest.raises(UserError, match=re.escape(said)) as caught:
            evaluated(tmp_path, *chosen)
        assert "on_corrupt" not in str(caught.value)
    assert not (tmp_path / "card.json").exists()


def test_a_missing_run_is_one_line(trompe: Trompe) -> None:
    assert "no run folder at nowhere" in trompe.fails("evaluate", "run=nowhere")


def measure(rank: int, world: int, store: str, told: Connection) -> None:
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=world)
    some = images(1003, 16)
    names = ["fd", "kd", "precision", "coverage"]
    metric = FeatureComparison(RandomConv(dim=16), names, 1003, 500)
    metric.prepare(Photographs(some=images(300, 16, seed=1)))
    # With blocks of 512 there are two of them, so that a third process has none.
    for numbers in torch.arange(1003).split(512)[rank::world]:
        metric.update(Images(some[numbers]), numbers)
    told.send({name: score.value for name, score in metric.compute().items()})


def values_of(world: int, folder: Path) -> list[dict[str, float]]:
    store, ends = f"file://{folder / f'store{world}'}", []
    for number in range(world):
        end, told = CONTEXT.Pipe(duplex=False)
        CONTEXT.Process(target=measure, args=(number, world, store, told), daemon=True).start()
        told.close()
        ends.append(end)
    assert all(end.poll(120) for end in ends)
    return [end.recv() for end in ends]


def test_one_two_and_three_processes_agree(tmp_path: Path) -> None:
    (alone,) = values_of(1, tmp_path)
    for world in (2, 3):
        for values in values_of(world, tmp_path):
            assert values == pytest.approx(alone, rel=1e-9)
