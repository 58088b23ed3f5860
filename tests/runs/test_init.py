"""`init=`: a run that begins with the weights of another, or with the embedded stylizer's."""

import shutil

import pytest
import torch

from tests.conftest import TINY, Trompe, load
from trompe.methods import embedded

SMALL = [o for o in TINY if not o.startswith(("metrics", "features", "samples"))]
GAN = ["train", *SMALL, "model=mlp_gan", "metrics=[]", "samples=null"]
STILL = ["model.generator_lr=0", "model.discriminator_lr=0"]


def test_it_begins_with_the_weights_of_a_run(trompe: Trompe) -> None:
    trompe(*GAN, "name=a")
    (first,) = trompe.runs()
    trompe(*GAN, *STILL, "name=b", f"init={first.path}", "seed=5")
    second = trompe.runs()[1]
    before, after = (load(run.last_checkpoint)["state_dict"] for run in (first, second))
    networks = [name for name in before if name.startswith(("generator.", "discriminator."))]
    assert networks and all(torch.equal(before[name], after[name]) for name in networks)
    told = second.read_facts()["init"]
    assert told["weights"] == str(first.path) and told["id"] == first.read_facts()["id"]
    assert told["seen_kimg"] == told["kimg"] == first.read_facts()["kimg"]
    # Its clock is its own, and so is what the average has followed.
    assert before["generator_ema._extra_state"] == after["generator_ema._extra_state"]
    # It goes on without the run that it began with.
    shutil.rmtree(first.path)
    trompe("train", f"run={second.path}", "kimg=0.2")
    assert second.read_facts()["kimg"] == pytest.approx(0.2, abs=0.05)


def test_weights_that_do_not_fit_or_are_not_there_are_one_line(trompe: Trompe) -> None:
    trompe(*GAN, "name=a")
    (run,) = trompe.runs()
    for overrides, told in (
        ([f"init={run.path}", "model.generator.width=24"], "does not fit the model of its config"),
        ([f"init={trompe.folder / 'nothing'}"], "there is no run folder at"),
        (["init=embedded"], "init=embedded does not fit the model of its config"),
        (["init=[1]"], "init=['1'] must be embedded or a run folder"),
    ):
        assert told in trompe.fails(*GAN, "name=b", *overrides)
    assert [other.path for other in trompe.runs()] == [run.path]


def test_a_run_can_begin_with_the_embedded_stylizer(trompe: Trompe) -> None:
    trompe(
        *["train", *(o for o in SMALL if not o.startswith("data")), "model=adversarial_style"],
        *["data.resolution=32", "data.style.size=12", "data.source_resolution=32"],
        *["model.discriminator.width=4", "metrics=[]", "samples=null"],
        *["init=embedded", "kimg=0.008", "tick_kimg=0.008", *STILL],
    )
    (run,) = trompe.runs()
    weights = load(run.last_checkpoint)["state_dict"]
    for name, wanted in embedded.read_weights().items():
        for network in ("generator", "generator_ema.network"):
            torch.testing.assert_close(weights[f"{network}.{name}"], wanted)
    assert run.read_facts()["init"]["sha256"] == embedded.read_facts()["sha256"]


def test_weights_that_have_changed_are_noticed(trompe: Trompe) -> None:
    trompe(*GAN, "name=a")
    (first,) = trompe.runs()
    trompe(*GAN, "name=b", f"init={first.path}")
    second = trompe.runs()[1]
    trompe(*GAN, "name=c", "seed=3")
    third = trompe.runs()[2]
    shutil.copy(third.last_checkpoint, first.last_checkpoint)
    told = "the weights of init: their hash was"
    assert told in trompe("reproduce", f"run={second.path}", "ticks=1", "tolerance=100").stdout
    # As it stands when it is killed before its first checkpoint.
    for path in (second.last_checkpoint, second.best_checkpoint, second.metrics_file):
        path.unlink(missing_ok=True)
    second.update_facts(status="interrupted", kimg=0.0)
    message = trompe.fails("train", f"run={second.path}")
    assert f"{second.path} cannot go on: {told}" in message
