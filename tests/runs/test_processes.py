"""Results do not depend on how many processes or parts a batch is divided over."""

import json
import signal
from pathlib import Path

import pytest

from tests.conftest import (
    FAMILIES,
    TINY,
    TINY_STYLE,
    Trompe,
    check_weights,
    difference,
    load,
    values,
)
from tests.runs.outside import FILES
from tests.runs.test_ddp import NO_NORM, ODD
from tests.runs.test_resume import RESULT
from trompe.runs.run_folder import RunFolder

OUTSIDE = {"PYTHONPATH": str(Path(__file__).parent)}
CONFIG = ["--config-dir", "my_conf"]
# 6 images: for two and for three processes. 8 batches of 90 images, which they do not divide.
PAIR = [*CONFIG, *TINY, "data.size=90", "model=pair", "batch_size=6", "kimg=0.096"]
METRICS = [override for override in TINY if override.startswith("metrics")]
TWO = ["trainer=ddp_cpu"]
THREE = [*TWO, "trainer.devices=3"]


@pytest.fixture
def outside(trompe: Trompe) -> Trompe:
    for name, text in FILES.items():
        path = trompe.folder / "my_conf" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    trompe.env |= OUTSIDE
    return trompe


def check_alike(one: RunFolder, other: RunFolder, tolerance: float = 1e-6) -> None:
    """Refuse runs whose records or weights differ by more than rounding."""
    assert len(values(one)) == len(values(other)) > 0
    for a, b in zip(values(one), values(other), strict=True):
        assert a == pytest.approx(b, rel=1e-3 if tolerance > 1e-6 else 1e-4, abs=1e-5)
    check_weights(one, other, tolerance)


def test_a_pair_of_generators_trains_resumes_and_is_of_use(outside: Trompe) -> None:
    trompe = outside
    trompe("train", *PAIR, "name=a_whole")
    (whole,) = trompe.runs()
    killed = trompe.stop_after(1, signal.SIGKILL, "train", *PAIR, "name=killed")
    trompe("train", *CONFIG, f"run={killed.path}", "trust=true")
    a, b = load(whole.last_checkpoint), load(killed.last_checkpoint)
    assert difference({k: a[k] for k in RESULT}, {k: b[k] for k in RESULT}) is None
    assert values(whole) == values(killed)
    state = a["state_dict"]
    assert int(state["pools.0.count"]) == 8 and float(state["blur"]) != 0
    assert "fd_random_conv" in values(whole)[-1]

    trompe("sample", f"run={whole.path}", "n=3", "out=made", "trust=true")
    assert (trompe.folder / "made" / "grid.png").is_file()
    card = ["checkpoint=last", *METRICS, "out=card.json"]
    trompe("evaluate", f"run={whole.path}", *card, "trust=true")
    card = json.loads((trompe.folder / "card.json").read_text())
    assert card["values"]["fd_random_conv"]["value"] == values(whole)[-1]["fd_random_conv"]
    message = trompe.fails("stylize", f"run={whole.path}", "content=made", "trust=true")
    assert "use trompe sample" in message


def test_several_processes_equal_one_and_resume_each_other(outside: Trompe) -> None:
    outside("train", *PAIR, "name=a_one")
    outside("train", *PAIR, "name=b_three", *THREE)
    auto = ["train", *PAIR, "name=c_part", "resume=auto"]
    outside.stop_after(1, signal.SIGTERM, *auto, *TWO)
    outside(*auto, *THREE)
    one, three, part = outside.runs()  # the last two sessions share a folder
    assert [session["processes"] for session in part.read_facts()["sessions"]] == [2, 3]
    assert part.read_facts()["status"] == "done"
    check_alike(one, three)
    check_alike(one, part)


GAN = ["train", *TINY, *FAMILIES["dcgan"], *NO_NORM, *ODD, "model.penalties.r1=1"]
GAN += ["model/augment=diffaugment", "model.discriminator_steps=2", "+model.optimizer.eps=1e-4"]
LAZY = ["model.penalty_every={r1:3,mode_seeking:2}", "model.generator_penalties.mode_seeking=0.1"]
# Few and small steps: an absolute value has a kink, where rounding turns a gradient's sign.
STYLE = ["train", *TINY_STYLE, "+model.optimizer.eps=0.01", "model.optimizer.lr=1e-4"]
STYLE = [*(o for o in STYLE if not o.startswith("metrics")), "metrics=[]"]
STYLE += ["tick_kimg=0.008", "model.warmup_kimg=0.008"]


@pytest.mark.parametrize(
    ("arguments", "tolerance"),
    [
        ([*GAN, "kimg=0.096"], 1e-6),
        ([*GAN, *LAZY, "kimg=0.048"], 1e-6),
        ([*STYLE, "kimg=0.016"], 1e-5),
    ],
    ids=["gan", "lazy", "adversarial_style"],
)
def test_two_parts_equal_one(trompe: Trompe, arguments: list[str], tolerance: float) -> None:
    trompe(*arguments, "name=a_one")
    trompe(*arguments, "name=b_parts", "model.accumulate=2")
    check_alike(*trompe.runs(), tolerance)


def test_parts_that_do_not_divide_the_batch_are_refused(trompe: Trompe) -> None:
    arguments = [*TINY, "model=mlp_gan", "model.accumulate=3"]
    told = "batch_size=8 must be divisible by"
    assert f"{told} model.accumulate=3" in trompe.fails("train", *arguments)
    both = f"{told} the 2 processes times model.accumulate=3"
    assert both in trompe.fails("train", *arguments, *TWO)
    assert trompe.runs() == []


def test_an_augmentation_that_adapts_is_the_same_everywhere(outside: Trompe) -> None:
    arguments = ["train", *CONFIG, *TINY, "model=adaptive", *ODD, "kimg=0.096"]
    arguments += ["+model.optimizer.eps=1e-4"]
    outside(*arguments, "name=a_one")
    outside(*arguments, "name=b_two", *TWO)
    outside(*arguments, "name=c_parts", "model.accumulate=2")
    one, two, parts = outside.runs()
    assert float(load(one.last_checkpoint)["state_dict"]["augment.strength"]) != 0
    check_alike(one, two)
    check_alike(one, parts)


# Rises at once: few discriminators are wrong about nearly all images.
ADA = ["model/augment=ada", "model.augment.target=-0.95", "model.augment.ada_kimg=0.1"]
ADA = ["train", *TINY, *FAMILIES["dcgan"], *NO_NORM, *ODD, *ADA, "model.penalties.r1=1"]
ADA += ["+model.optimizer.eps=1e-4", "metrics=[]"]


def test_ada_is_the_same_everywhere(trompe: Trompe) -> None:
    arguments = [*(o for o in ADA if not o.startswith("metrics.")), "kimg=0.096"]
    trompe(*arguments, "name=a_one")
    trompe(*arguments, "name=b_two", *TWO)
    trompe(*arguments, "name=c_parts", "model.accumulate=2")
    trompe(*arguments, "name=d_resumed", "kimg=0.048")
    one, two, parts, resumed = trompe.runs()
    # In the middle of the batches after which the probability changes.
    state = load(resumed.last_checkpoint)["state_dict"]
    assert int(state["augment.batches"]) == 2
    assert float(state["augment.probability"]) == pytest.approx(0.32)
    trompe("train", f"run={resumed.path}", "kimg=0.096")
    a, b = load(one.last_checkpoint), load(resumed.last_checkpoint)
    assert difference({k: a[k] for k in RESULT}, {k: b[k] for k in RESULT}) is None
    assert float(a["state_dict"]["augment.probability"]) == pytest.approx(0.8)
    assert values(one) == values(resumed)
    recorded = [record["augment/probability"] for record in values(one)]
    assert recorded == pytest.approx([2 / 6 * 0.32, (2 * 0.32 + 4 * 0.64) / 6])
    check_alike(one, two)
    check_alike(one, parts)


CARELESS = [*TINY, "model=mlp_gan", "model.discriminator.width=16", "kimg=0.048"]


def test_a_network_that_draws_by_itself_is_warned_of(outside: Trompe) -> None:
    generator = ["~model.generator", "+model.generator._target_=outside.Careless"]
    result = outside("train", *CARELESS, *TWO, *generator)
    assert result.stderr.count("a network draws from torch's global generator") == 1
    assert "noise_like or Dropout" in result.stderr


def test_state_that_differs_between_processes_is_refused(outside: Trompe) -> None:
    uneven = [*CARELESS, "model.generator.width=32", "model._target_=outside.Uneven"]
    message = outside.fails("train", *uneven, *TWO)
    assert "seen differs between processes" in message and "share.mean" in message
    (run,) = outside.runs()
    assert not run.last_checkpoint.exists()


def test_a_step_outside_of_its_phase_is_refused(outside: Trompe) -> None:
    # Parts are processed optimizer by optimizer: such a method would step twice.
    arguments = ["train", *PAIR, "model._target_=outside.Hasty"]
    told = "takes a step of 'g' that its phase does not have there"
    assert f"Hasty.update {told}" in outside.fails(*arguments, "model.accumulate=2")
    message = outside.fails(*arguments, "model._target_=outside.Disordered")
    assert f"Disordered.update {told}" in message
    message = outside.fails(*arguments, "model._target_=outside.Nameless")
    assert "gives 2 optimizers, but optimizer_names are g: one name for each" in message


def test_parts_of_a_batch_adapt_to_all_of_it(outside: Trompe) -> None:
    outside("train", *PAIR, "name=a_one", "kimg=0.048")
    outside("train", *PAIR, "name=b_parts", "kimg=0.048", "model.accumulate=3")
    check_alike(*outside.runs())


def test_data_of_one_picture_need_no_split(outside: Trompe) -> None:
    tiny = [o for o in TINY if not o.startswith(("data", "metrics", "batch_size"))]
    arguments = [*CONFIG, *tiny, "data=single_picture", "model=prior", "metrics=[]", "batch_size=1"]
    arguments = ["train", *arguments]
    outside(*arguments)
    (run,) = outside.runs()
    losses = [record["loss/generator"] for record in values(run)]
    assert losses[-1] < losses[0] / 10
    pictures = {path.name for path in (run.path / "samples").iterdir()}
    assert pictures == {f"{kimg}.png" for kimg in ("00000.000", "00000.048", "00000.096")} | {
        "00000.192.png"
    }
    message = outside.fails("sample", f"run={run.path}", "trust=true")
    assert "trompe sample does not work with the model of" in message
    told = "OnePicture has no images to measure others against: set metrics=[]"
    assert told in outside.fails(
        *("evaluate", f"run={run.path}", "metrics=[random_conv]", "trust=true")
    )
    few = [f"metrics.random_conv.n_{key}=10" for key in ("images", "reference")]
    assert told in outside.fails(*arguments[:-2], "metrics=[random_conv]", *few, "batch_size=1")
