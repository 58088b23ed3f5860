"""CycleGAN under the same clock, resume, processes and commands as everything else."""

import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import TINY, Trompe, check_weights, difference, load, values
from tests.runs.test_resume import RESULT


def pictures(folder: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for i in range(8):
        small = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        Image.fromarray(small).resize((36, 36)).save(folder / f"{i}.png")
    return folder


def arguments(trompe: Trompe) -> list[str]:
    folders = [pictures(trompe.folder / name, i) for i, name in enumerate("ab")]
    return [
        "train",
        *(o for o in TINY if not o.startswith(("data", "metrics", "batch_size", "callbacks"))),
        "model=cyclegan",
        "data=unpaired",
        f"data.a={folders[0]}",
        f"data.b={folders[1]}",
        "data.resolution=32",
        "data.source_resolution=36",
        "data.validation_fraction=0.25",
        "metrics=[translation]",
        "metrics.translation.n_images=4",
        *(f"features@metrics.fd_{way}.features=random_conv" for way in WAYS),
        *(f"metrics.fd_{way}.n_{key}=4" for way in WAYS for key in ("images", "reference")),
        "model.generator.width=4",
        "model.generator.blocks=1",
        "model.discriminator.width=4",
        "model.discriminator.layers=2",
        "model.pool_size=6",
        "batch_size=4",
    ]


WAYS = ("a_to_b", "b_to_a")
GENTLY = ["+model.optimizer.eps=0.01", "model.optimizer.lr=1e-4"]


@pytest.fixture
def tiny(trompe: Trompe) -> list[str]:
    return arguments(trompe)


def test_killed_and_resumed_equals_uninterrupted_and_is_of_use(
    trompe: Trompe, tiny: list[str]
) -> None:
    slower = ["tick_kimg=0.08", "kimg=0.24"]
    trompe(*tiny, *slower, "name=whole")
    whole = trompe.runs()[-1]
    killed = trompe.stop_after(1, signal.SIGKILL, *tiny, *slower, "name=killed")
    trompe("train", f"run={killed.path}")
    a, b = load(whole.last_checkpoint), load(killed.last_checkpoint)
    assert a["clock"] == {"images": 240}
    assert difference({k: a[k] for k in RESULT}, {k: b[k] for k in RESULT}) is None
    assert values(whole) == values(killed)
    # Earlier images are in the pool, and the learning rate has begun to fall.
    assert int(a["state_dict"]["pool_a.count"]) == 6 and a["state_dict"]["pool_b.images"].any()
    groups = [state["param_groups"][0]["lr"] for state in a["optimizer_states"]]
    assert groups == pytest.approx([2e-4 * 2 * 4 / 240] * 2)
    assert {"cycle_a", "change_b_to_a", "fd_random_conv_a_to_b"} <= set(values(whole)[-1])
    assert "truth_a_to_b" not in values(whole)[-1]

    content = next((trompe.folder / "a").iterdir())
    made = []
    for way in WAYS:
        use = [f"run={whole.path}", f"content={content}", f"direction={way}", f"out={way}"]
        trompe("stylize", *use)
        made.append((trompe.folder / way / content.name).read_bytes())
    assert made[0] != made[1]
    use = ["stylize", f"run={whole.path}", f"content={content}"]
    assert "direction=up must be one of a_to_b, b_to_a" in trompe.fails(*use, "direction=up")
    assert "use trompe stylize" in trompe.fails("sample", f"run={whole.path}")
    message = trompe.fails("evaluate", f"run={whole.path}", "metrics=[style_pairs]")
    assert "style_pairs compares images with their content and style" in message


def test_wrong_losses_and_weights_are_refused(trompe: Trompe, tiny: list[str]) -> None:
    for override, told in (
        ("model.loss=relativistic", "model.loss=relativistic compares images in pairs"),
        ("model.weights.cycle=abc", "model.weights.cycle=abc must be a number or a schedule"),
        ("~model.weights.identity", "model.weights.identity is missing"),
        ("+model.weights.gram=1", "model.weights.gram is not a loss of this model"),
        ("data.validation_fraction=0", "has no validation pictures"),
        ("data.resolution=8", "this network needs at least 12 pixels"),
    ):
        assert told in trompe.fails(*tiny, override)
    assert trompe.runs() == []


@pytest.mark.parametrize(
    "other",
    [
        ["trainer=ddp_cpu"],
        ["model.accumulate=2"],
        ["trainer=ddp_cpu", "model.accumulate=2"],
    ],
)
def test_two_processes_and_two_parts_equal_one(
    trompe: Trompe, tiny: list[str], other: list[str]
) -> None:
    # Two steps, the second with images from the pool. Not more: where an absolute value has its
    # kink, rounding can turn a gradient's sign, after how many steps depends on the machine.
    clock = ["kimg=0.008", "tick_kimg=0.004", "metrics=[]", "samples=null"]
    kept = [o for o in tiny if not o.startswith(("metrics", "features@", "samples"))]
    common = [*kept, *GENTLY, *clock]
    trompe(*common, "name=a_one")
    trompe(*common, "name=b_two", *other)
    check_weights(*trompe.runs(), tolerance=1e-5)
