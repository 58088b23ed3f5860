"""What a run is called in every tracker."""

from pathlib import Path

import pytest

from trompe.runs.notes import add_note
from trompe.runs.variation import read_words
from trompe.training.shown import all_tags, as_part, describe_run, name_run, recorded_as

RUN = Path("outputs/dcgan_shapes/2026-01-01_10-00-00_1a2b3c")


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "dcgan_shapes · 1a2b3c"),
        (["kimg=400", "trainer=ddp", "logger=[csv]"], "dcgan_shapes · 1a2b3c"),
        (["metrics=[fd]", "samples.every_kimg=1"], "dcgan_shapes · 1a2b3c"),
        (["experiment=dcgan_shapes"], "dcgan_shapes · 1a2b3c"),
        (
            ["seed=1", "model.optimizer.lr=0.0002", "model.loss=hinge"],
            "lr 2e-4, hinge, seed 1 · 1a2b3c",
        ),
        (["model.very_long_name=" + "é" * 300], "é" * 50 + " · 1a2b3c"),
        (["data.path=/home/me/my cats/"], "path my cats · 1a2b3c"),
        (["data.token=aB3dE5gH7jK9mN1pQ3sT"], "dcgan_shapes · 1a2b3c"),
        (
            ["data=shapes", *(f"model.part{i}.width=16" for i in range(9)), "model.loss=hinge"],
            "…, part8.width 16, hinge · 1a2b3c",
        ),
    ],
)
def test_a_run_is_called_what_was_typed_for_it(overrides: list[str], name: str) -> None:
    assert describe_run(RUN, {"name": "dcgan_shapes"}, overrides).name == name


def test_a_trial_is_called_what_its_sweep_varies(tmp_path: Path) -> None:
    sweep = tmp_path / "sweeps" / "2026-01-01_09-00-00_c0ffee"
    path = sweep / "trials" / "0003" / "dcgan_shapes" / RUN.name
    overrides = ["data=shapes", "batch_size=8", "kimg=8", "model.optimizer.lr=0.0002", "kimg=16"]
    unread = name_run(path, read_words(overrides))
    assert unread == "trial 3: shapes, batch_size 8, lr 2e-4 · 1a2b3c"
    sweep.mkdir(parents=True)
    (sweep / "sweep.yaml").write_text("space: {model.optimizer.lr: Uniform, +kimg: Choice}")
    shown = describe_run(path, {"name": "dcgan_shapes"}, overrides)
    assert shown.name == "trial 3: kimg 16, lr 2e-4 · 1a2b3c"
    assert shown.group == "sweep c0ffee"


def test_group_and_tags(tmp_path: Path) -> None:
    path = tmp_path / "mine" / RUN.name
    shown = describe_run(path, {"name": "mine"}, ["model=wgan_gp", "data=cifar10"])
    assert shown.group == "mine" and shown.tags == ("mine", "wgan_gp", "cifar10")
    choices = {"model": "dcgan", "data": "cifar10", "trainer": "cpu"}
    chosen = describe_run(path, {"name": "mine"}, ["model=wgan_gp"], choices)
    assert chosen.tags == shown.tags
    path.mkdir(parents=True)
    add_note(path, "#good, #mine")
    assert all_tags(path, shown) == ("mine", "wgan_gp", "cifar10", "good")


def test_a_foreign_name_is_no_path() -> None:
    foreign = {"shown": {"name": "../../x", "group": "g", "tags": []}}
    shown = recorded_as(foreign)
    assert shown is not None and shown.name == as_part("../../x") == "--..-x"
    assert recorded_as({"name": "older"}) is None
    assert recorded_as({"shown": {"name": "damaged"}}) is None
