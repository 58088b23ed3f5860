"""How a global batch is divided, and what processes level or compare."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.warm import CONTEXT
from trompe.engine.randomness import Draws
from trompe.engine.share import Share, check_alike, level_batch_norms
from trompe.errors import UserError


@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_shares_make_up_the_batch(processes: int, parts: int) -> None:
    count = 36
    numbers = torch.arange(count)
    each = count // (processes * parts)
    mine = [numbers[Share(rank, processes, parts).rows(count)] for rank in range(processes)]
    assert all(len(rows) == count // processes for rows in mine)
    # A part of the batch is what the same part of every process's rows is, in order of rank.
    for part in range(parts):
        rows = torch.cat([own[part * each : (part + 1) * each] for own in mine])
        assert rows.tolist() == list(range(part * each * processes, (part + 1) * each * processes))
    # And random numbers are divided as images are.
    whole = Draws(0, 0, count, Share()).normal("x", 2)
    for rank, rows in enumerate(mine):
        draws = Draws(0, 0, count, Share(rank, processes, parts))
        assert torch.equal(draws.rows(), rows)
        assert torch.equal(draws.normal("x", 2), whole[rows])
        pieces = [draws.part(i) for i in range(parts)]
        assert torch.equal(torch.cat([p.normal("x", 2) for p in pieces]), whole[rows])
        assert torch.equal(torch.cat([p.rows() for p in pieces]), rows)


def test_what_cannot_be_divided_is_refused() -> None:
    message = r"^batch_size=7 must be divisible by the 2 processes$"
    with pytest.raises(UserError, match=message):
        Share(0, 2).rows(7)
    message = r"^batch_size=8 must be divisible by the 2 processes times model.accumulate=3$"
    with pytest.raises(UserError, match=message):
        Share(0, 2, 3).rows(8)
    assert Share(0, 1, 2).rows(8).tolist() == list(range(8))  # type: ignore[union-attr]


def test_items_are_dealt_one_by_one() -> None:
    assert [list(Share(rank, 3).deal("abcdefg")) for rank in range(3)] == [
        ["a", "d", "g"],
        ["b", "e"],
        ["c", "f"],
    ]
    assert Share(2, 3).deal(["only"]) == []


def test_one_process_alone_changes_nothing() -> None:
    values = torch.randn(3, 2)
    assert Share().mean(values) is values
    assert Share().gather(values) is values


def rank_says(rank: int, world: int, folder: Path) -> None:
    """What one of several processes saw; each has statistics of its own, and for a while more."""
    store = f"file://{folder / 'store'}"
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=world)
    share, found = Share(rank, world), dict[str, Any]()
    found["mean"] = share.mean(torch.tensor([1.0, 10.0]) * (rank + 1)).tolist()
    found["gather"] = share.gather(torch.tensor([[rank, 1], [rank, 2]])).tolist()

    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.InstanceNorm2d(2, track_running_stats=True)
    )
    module.register_buffer("alike", torch.tensor([0.5, float("inf"), float("nan")]))
    module[0].register_buffer("own", torch.tensor(float(rank)))  # in a layer that is no norm
    for norm in (module[1], module[2]):
        norm.running_mean.fill_(rank)
        norm.running_var.fill_(1 + rank)
        norm.num_batches_tracked.fill_(7)

    def refused() -> str | None:
        try:
            check_alike(module, share)
        except UserError as error:
            return str(error)
        return None

    found["before"] = refused()
    level_batch_norms(module, share)
    found["leveled"] = {k: v.tolist() for k, v in module[1:].named_buffers()}
    found["own"] = module[0].own.item()
    found["other buffer"] = refused()
    module[0].own.fill_(0)
    found["alike"] = refused()
    found["kept"] = module.alike[0].item()
    with torch.no_grad():
        module[0].bias[1] += rank
    found["parameter"] = refused()
    (folder / f"{rank}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


def test_processes_level_batch_norms_and_nothing_else(tmp_path: Path) -> None:
    world = 3
    call = [CONTEXT.Process(target=rank_says, args=(r, world, tmp_path)) for r in range(world)]
    for process in call:
        process.start()
    for process in call:
        process.join(120)
    for rank in range(world):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert found["mean"] == [2, 20]
        assert found["gather"] == [[r, row] for r in range(3) for row in (1, 2)]
        assert found["before"].startswith("0.own differs between processes")
        for layer in ("1", "2"):
            assert found["leveled"][f"{layer}.running_mean"] == [1, 1]
            assert found["leveled"][f"{layer}.running_var"] == [2, 2]
            assert found["leveled"][f"{layer}.num_batches_tracked"] == 7
        assert found["own"] == rank
        assert found["other buffer"] == (
            "0.own differs between processes, but a checkpoint holds one: compute it from the "
            "whole global batch (share.mean for a number, share.gather for rows)"
        )
        assert found["alike"] is None and found["kept"] == 0.5
        assert found["parameter"].startswith("0.bias differs between processes")
