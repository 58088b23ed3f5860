"""Two processes are one process with the same global batch."""

import os

import pytest
import torch

from tests.conftest import FAMILIES, TINY, Trompe, load, values

# No batch norm: its statistics are those of each process's share.
NO_NORM = ["model.generator.norm=null", "model.discriminator.norm=null"]
# 90 images do not divide by a batch of 8: batches cross the data's epochs.
ODD = ["data.size=90", "trainer.precision=32-true"]


@pytest.mark.parametrize("loss", ["non_saturating", "relativistic"])
def test_two_processes_equal_one(trompe: Trompe, loss: str) -> None:
    penalty = "model.penalties.r1=1" if loss == "relativistic" else "model.discriminator_steps=2"
    arguments = ["train", *TINY, *FAMILIES["dcgan"], *NO_NORM, f"model.loss={loss}", penalty]
    arguments += ["model/augment=diffaugment"]
    trompe(*arguments, "name=a_one", *ODD)
    trompe(*arguments, "name=b_two", "trainer=ddp_cpu", *ODD)
    one, two = trompe.runs()
    assert two.read_facts()["hardware"]["devices"] == 2
    assert len(values(one)) == len(values(two)) == 4
    for a, b in zip(values(one), values(two), strict=True):
        assert a.keys() == b.keys()
        for name in a:
            assert a[name] == pytest.approx(b[name], rel=1e-4, abs=1e-5), name
    first, second = load(one.last_checkpoint), load(two.last_checkpoint)
    for name, weights in first["state_dict"].items():
        torch.testing.assert_close(weights, second["state_dict"][name], rtol=0, atol=1e-6)


def test_two_processes_resume_with_batch_norm(trompe: Trompe) -> None:
    arguments = ["train", *TINY, *FAMILIES["dcgan"], "trainer=ddp_cpu", *ODD]
    trompe(*arguments, "name=a_whole")
    trompe(*arguments, "name=b_part", "kimg=0.096")
    whole, part = trompe.runs()
    trompe("train", f"run={part.path}", "kimg=0.192")
    assert values(whole) == values(part)
    first, second = load(whole.last_checkpoint), load(part.last_checkpoint)
    for name, weights in first["state_dict"].items():
        assert torch.equal(weights, second["state_dict"][name]), name


def test_a_batch_that_does_not_divide_is_refused(trompe: Trompe) -> None:
    message = trompe.fails("train", *TINY, *FAMILIES["mlp_gan"], "trainer=ddp_cpu", "batch_size=7")
    assert "batch_size=7 must be divisible by the 2 processes" in message
    assert trompe.runs() == []


CRASH = """
import pytorch_lightning as pl


class Crash(pl.Callback):
    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if trainer.global_rank == 1 and batch_idx == 3:
            raise RuntimeError("planted on rank 1")
"""


def test_an_exception_on_rank_1_ends_the_job_with_that_error(trompe: Trompe) -> None:
    (trompe.folder / "crash.py").write_text(CRASH)
    arguments = [*TINY, *FAMILIES["mlp_gan"], "trainer=ddp_cpu", "trainer.precision=32-true"]
    process = trompe.start(
        "train",
        *arguments,
        "+callbacks.crash._target_=crash.Crash",
        PYTHONPATH=f"{trompe.folder}:{os.environ.get('PYTHONPATH', '')}",
    )
    _, err = process.communicate(timeout=120)  # a hang would last for gloo's half hour
    assert process.returncode != 0
    facts = trompe.runs()[-1].read_facts()
    assert facts["status"] == "failed"
    assert facts["error"] == "rank 1: RuntimeError: planted on rank 1"
    assert "planted on rank 1" in err


def test_a_mistake_on_rank_1_is_one_line(trompe: Trompe) -> None:
    text = CRASH.replace("RuntimeError", "UserError")
    (trompe.folder / "crash.py").write_text(f"from trompe.errors import UserError\n{text}")
    message = trompe.fails(
        *["train", *TINY, *FAMILIES["mlp_gan"], "trainer=ddp_cpu", "trainer.precision=32-true"],
        "+callbacks.crash._target_=crash.Crash",
        PYTHONPATH=f"{trompe.folder}:{os.environ.get('PYTHONPATH', '')}",
    )
    assert message == "trompe: rank 1: planted on rank 1"


def test_a_run_resumes_on_another_number_of_processes(trompe: Trompe) -> None:
    arguments = ["train", *TINY, *FAMILIES["dcgan"], *NO_NORM, *ODD]
    trompe(*arguments, "name=a_whole")
    trompe(*arguments, "name=b_part", "kimg=0.096")
    whole, part = trompe.runs()
    trompe("train", f"run={part.path}", "kimg=0.144", "trainer=ddp_cpu")
    trompe("train", f"run={part.path}", "kimg=0.192", "trainer=cpu")
    assert len(trompe.runs()) == 2  # in the same folder
    assert [session["processes"] for session in part.read_facts()["sessions"]] == [1, 2, 1]
    assert len(values(part)) == 4
    first, second = load(whole.last_checkpoint), load(part.last_checkpoint)
    for name, weights in first["state_dict"].items():
        torch.testing.assert_close(weights, second["state_dict"][name], rtol=0, atol=1e-6)
