"""Checkpoints that torch can read but that are not those of the run: one line each."""

from pathlib import Path
from typing import Any

import pytest
import torch

from trompe.engine.checkpoint import check_resumable, checkpoint_kimg, load_checkpoint
from trompe.errors import UserError

WHOLE: dict[str, Any] = {
    "clock": {"images": 192},
    "state_dict": {"generator.weight": torch.zeros(2, 3), "count": torch.tensor(1)},
    "optimizer_states": [{"state": {}, "param_groups": []}],
    "lr_schedulers": [],
    "loops": {},
    "callbacks": {},
    "epoch": 3,
    "global_step": 48,
    "pytorch-lightning_version": "2.6.6",
}
STATES = {"generator.weight": torch.ones(2, 3), "count": torch.tensor(0)}


def saved(folder: Path, checkpoint: Any) -> Path:
    torch.save(checkpoint, folder / "last.ckpt")
    return folder / "last.ckpt"


def test_a_whole_checkpoint_is_taken(tmp_path: Path) -> None:
    path = saved(tmp_path, WHOLE)
    check_resumable(path, STATES, optimizers=1)
    assert checkpoint_kimg(path) == 0.192


@pytest.mark.parametrize(
    ("checkpoint", "said"),
    [
        ([1], "is not that of a run"),
        (torch.zeros(2), "is not that of a run"),
        ({}, "it has no clock"),
        ({**WHOLE, "clock": 3}, "it has no clock"),
        ({**WHOLE, "state_dict": None}, "it has no state_dict"),
        ({**WHOLE, "state_dict": "x"}, "it has no state_dict"),
        *(
            ({**WHOLE, "clock": {"images": images}}, "has no image count")
            for images in (None, "x", -8, float("nan"), True)
        ),
    ],
)
def test_a_checkpoint_that_cannot_be_used(checkpoint: Any, said: str, tmp_path: Path) -> None:
    path = saved(tmp_path, checkpoint)
    for read in (load_checkpoint, checkpoint_kimg):
        with pytest.raises(UserError, match=f"the checkpoint {path} .*{said}"):
            read(path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        *(({name: None}, f"it has no {name}") for name in list(WHOLE)[2:]),
        ({"optimizer_states": []}, "no states of the 1 optimizers"),
        ({"optimizer_states": [{}]}, "no states of the 1 optimizers"),
        ({"optimizer_states": [3]}, "no states of the 1 optimizers"),
        ({"state_dict": {"count": torch.tensor(1)}}, "generator.weight is missing, not of shape"),
        ({"state_dict": {**STATES, "x": torch.zeros(1)}}, r"x is of shape \(1,\), not missing"),
        (
            {"state_dict": {**STATES, "generator.weight": torch.zeros(4, 3)}},
            r"does not fit .*: generator.weight is of shape \(4, 3\), not of shape \(2, 3\)",
        ),
        ({"state_dict": {**STATES, "count": "1"}}, "count is of type str, not of shape"),
    ],
)
def test_a_checkpoint_that_cannot_be_resumed(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said):
        check_resumable(saved(tmp_path, {**WHOLE, **changes}), STATES, optimizers=1)
