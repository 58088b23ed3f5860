"""Style transfer under the same clock, resume, processes and run folder as everything else."""

import json
import signal

import pytest
from PIL import Image

from tests.conftest import TINY_STYLE, Trompe, check_weights, difference, load, values
from tests.runs.test_resume import RESULT

SLOWER = ["tick_kimg=0.16", "kimg=0.48"]


def test_killed_and_resumed_equals_uninterrupted(trompe: Trompe) -> None:
    arguments = ["train", *TINY_STYLE, *SLOWER]
    trompe(*arguments, "name=whole")
    whole = trompe.runs()[-1]
    killed = trompe.stop_after(1, signal.SIGKILL, *arguments, "name=killed")
    assert killed.read_facts()["status"] == "running"
    trompe("train", f"run={killed.path}")
    a, b = load(whole.last_checkpoint), load(killed.last_checkpoint)
    assert a["clock"] == {"images": 480}
    assert difference({k: a[k] for k in RESULT}, {k: b[k] for k in RESULT}) is None
    assert values(whole) == values(killed)
    assert {"loss/transported", "loss/moments", "loss/adversarial", "loss/identity"} <= set(
        values(whole)[-1]
    )
    # The perceptual network's weights come with its package and are in no checkpoint.
    assert {name.split(".")[0] for name in a["state_dict"]} == {
        "generator",
        "generator_ema",
        "discriminator",
    }
    # A matrix: a header with the styles and, for each content, a row with it and its pictures.
    with Image.open(sorted((whole.path / "samples").glob("[0-9]*.png"))[-1]) as matrix:
        assert matrix.size == (3 * 34 - 2, 3 * 34 - 2)

    # While there are runs: what makes images from latents has none here, and metrics are the same.
    assert "use trompe stylize" in trompe.fails("sample", f"run={whole.path}", "n=2")
    same = [
        "metrics=[random_conv]",
        *(f"metrics.random_conv.n_{k}=40" for k in ("images", "reference")),
    ]
    trompe("evaluate", f"run={whole.path}", "checkpoint=last", *same, "out=card.json")
    card = json.loads((trompe.folder / "card.json").read_text())
    assert card["values"]["fd_random_conv"]["value"] == values(whole)[-1]["fd_random_conv"]


@pytest.mark.parametrize(
    "model",
    [
        ["model=johnson", "data.resolution=32", "model.generator.blocks=1"],
        [
            "model=ast",
            "data.resolution=32",
            "model.generator.blocks=1",
            "model.discriminator.width=4",
        ],
    ],
)
def test_methods_of_one_style_resume_exactly(trompe: Trompe, model: list[str]) -> None:
    others = [o for o in TINY_STYLE if not o.startswith(("model", "data.resolution", "metrics"))]
    arguments = ["train", *others, *model, "model.generator.width=4", "metrics=[]"]
    arguments += ["tick_kimg=0.08", "kimg=0.24"]
    trompe(*arguments, "name=whole")
    whole = trompe.runs()[-1]
    killed = trompe.stop_after(1, signal.SIGKILL, *arguments, "name=killed")
    trompe("train", f"run={killed.path}")
    a, b = load(whole.last_checkpoint), load(killed.last_checkpoint)
    assert a["clock"] == {"images": 240}
    assert difference({k: a[k] for k in RESULT}, {k: b[k] for k in RESULT}) is None
    assert values(whole) == values(killed)


def test_two_processes_equal_one(trompe: Trompe) -> None:
    # A large eps, or Adam makes whole steps of what is only rounding in gradients near zero.
    gently = ["+model.optimizer.eps=0.01", "model.optimizer.lr=1e-4"]
    clock = ["kimg=0.016", "tick_kimg=0.008", "model.warmup_kimg=0.008"]
    arguments = ["train", *TINY_STYLE, *gently, *clock]
    trompe(*arguments, "name=a_one")
    two = [o for o in arguments if o != "trainer=cpu"]
    trompe(*two, "trainer=ddp_cpu", "name=b_two")
    one, both = trompe.runs()
    assert both.read_facts()["hardware"]["devices"] == 2
    for a, b in zip(values(one), values(both), strict=True):
        assert a.keys() == b.keys()
        for name in a:
            assert a[name] == pytest.approx(b[name], rel=1e-3, abs=1e-5), name
    check_weights(one, both, tolerance=1e-5)


def test_models_and_data_that_do_not_fit_are_refused(trompe: Trompe) -> None:
    message = trompe.fails("train", "data=style_demo", "data.style.size=10", "logger=[]")
    assert "trains on a Batch but the data give a StyleBatch" in message
    assert trompe.runs() == []
