"""Clock, keyed randomness, averages, EMA, checkpoints, hardware."""

import copy
import math
import os
import platform
import signal
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from trompe.engine.checkpoint import AtomicCheckpointIO, load_checkpoint
from trompe.engine.clock import Clock
from trompe.engine.ema import ema_decay, update_ema
from trompe.engine.hardware import resolve_trainer
from trompe.engine.interrupt import catch_signals
from trompe.engine.randomness import keyed_generator, keyed_seed
from trompe.engine.tick_means import TickMeans
from trompe.errors import UserError

EMPTY: dict[str, Any] = {"clock": {"images": 8}, "state_dict": {}}  # what any checkpoint has


def test_clock_counts_whole_batches_and_ticks() -> None:
    clock = Clock(kimg=10, tick_kimg=1, batch_size=64)
    assert clock.batches_per_tick == 16 and clock.images_per_tick == 1024
    assert clock.ticks == 10 and clock.budget_kimg == 10.24
    for _ in range(16):
        assert clock.tick == 0
        clock.advance()
    assert (clock.tick, clock.batch, clock.kimg) == (1, 16, 1.024)


@pytest.mark.parametrize("batch_size", [32, 64, 100, 1000])
def test_the_budget_does_not_depend_on_the_batch_size(batch_size: int) -> None:
    clock = Clock(kimg=200, tick_kimg=4, batch_size=batch_size)
    assert abs(clock.budget_kimg - 200) <= clock.images_per_tick / 2000
    assert abs(clock.images_per_tick - 4000) <= batch_size / 2


def test_something_is_due_once_a_period_and_at_the_end() -> None:
    clock = Clock(kimg=10, tick_kimg=1, batch_size=100)
    due = []
    for tick in range(1, 11):
        clock.images = tick * 1000
        due.append(clock.is_due(4))
    assert [tick for tick, is_due in enumerate(due, 1) if is_due] == [4, 8, 10]
    clock.images = 1000
    assert clock.is_due(0.25)


def test_clock_goes_on_from_a_checkpoint_and_refuses_nonsense() -> None:
    clock = Clock(1, 1, 10)
    clock.load_state_dict({"images": 30})
    assert clock.state_dict() == {"images": 30}
    for bad in ((0, 1, 1), (1, -1, 1), (1, 1, 0)):
        with pytest.raises(UserError, match="must be a"):
            Clock(*bad)


def test_keyed_seeds_depend_on_every_part_and_nothing_else() -> None:
    seeds = {
        keyed_seed(seed, purpose, position)
        for seed in range(5)
        for purpose in ("latents", "flip")
        for position in range(5)
    }
    assert len(seeds) == 50
    assert keyed_seed(1, "latents", 64) == keyed_seed(1, "latents", 64) < 2**63
    a = torch.randn(3, generator=keyed_generator(0, "x", 1))
    torch.randn(100)
    assert torch.equal(a, torch.randn(3, generator=keyed_generator(0, "x", 1)))


def test_averages_and_the_first_bad_value() -> None:
    averages = TickMeans()
    averages.add("a", torch.tensor(1.0), 0)
    averages.add("a", torch.tensor([2.0, 4.0]), 64)
    averages.add("b", torch.tensor(5.0), 64)
    assert averages.read() == ({"a": 2.0, "b": 5.0}, {}, None)
    assert averages.read() == ({}, {}, None)
    averages.add("a", torch.tensor(1.0), 128)
    averages.add("a", torch.tensor(math.nan), 192)
    averages.add("b", torch.tensor(math.inf), 256)
    averages.add_values("c", torch.tensor([1.0, 3.0]), 320)
    read = averages.read()
    assert read.bad_images == 192 and read.means["c"] == 2
    assert read.histograms["c"].tolist() == [1, 3]


def test_ema_forgets_half_in_its_half_life() -> None:
    assert ema_decay(64, 10, 10**9, 0.05) ** (10_000 / 64) == pytest.approx(0.5)
    # Early on the half-life is a share of the images seen.
    assert ema_decay(64, 10, 6400, 0.05) == pytest.approx(0.5 ** (64 / 320))
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = copy.deepcopy(network)
    with torch.no_grad():
        network[0].weight += 1
        network[1].running_mean += 2
        network[1].num_batches_tracked += 7
    expected = average[0].weight + 0.25
    update_ema(average, network, 0.75)
    torch.testing.assert_close(average[0].weight, expected)
    torch.testing.assert_close(average[1].running_mean, torch.full((2,), 0.5))
    assert average[1].num_batches_tracked == 7


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    io, path = AtomicCheckpointIO(), tmp_path / "checkpoints" / "last.ckpt"
    io.save_checkpoint({"a": torch.ones(2), **EMPTY}, path)

    class Unwritable:
        def __reduce__(self) -> str:
            raise OSError("No space left on device")

    with pytest.raises(UserError, match=r"No space left on device; the previous one is kept"):
        io.save_checkpoint({"a": Unwritable()}, path)
    assert torch.equal(load_checkpoint(path)["a"], torch.ones(2))
    assert os.listdir(path.parent) == ["last.ckpt"]
    with pytest.raises(UserError, match="no checkpoint at"):
        load_checkpoint(tmp_path / "none.ckpt")
    path.write_bytes(b"torn")
    with pytest.raises(UserError, match="cannot be read"):
        load_checkpoint(path)


def test_ctrl_c_waits_for_a_checkpoint_that_is_being_written(tmp_path: Path) -> None:
    class PressesCtrlC:
        def __reduce__(self) -> tuple:
            os.kill(os.getpid(), signal.SIGINT)
            return (OrderedDict, ())

    path, before = tmp_path / "last.ckpt", signal.getsignal(signal.SIGINT)
    terminate = signal.getsignal(signal.SIGTERM)
    catch_signals()
    try:
        with pytest.raises(KeyboardInterrupt):
            AtomicCheckpointIO().save_checkpoint({"a": PressesCtrlC(), **EMPTY}, path)
        with pytest.raises(KeyboardInterrupt):  # and afterwards it is immediate again
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGTERM, terminate)
    assert load_checkpoint(path) == {"a": {}, **EMPTY}
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_auto_becomes_what_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    auto = {"accelerator": "auto", "devices": "auto", "num_nodes": 1, "precision": "auto"}
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr("trompe.engine.hardware.cpu_has_bf16", lambda: False)
    resolved = resolve_trainer(auto)
    assert (resolved["accelerator"], resolved["devices"]) == ("cpu", 1)
    assert resolved["precision"] == "32-true"
    monkeypatch.setattr("trompe.engine.hardware.cpu_has_bf16", lambda: True)
    assert resolve_trainer(auto)["precision"] == "bf16-mixed"
    with pytest.raises(UserError, match="this machine has none"):
        resolve_trainer({**auto, "accelerator": "gpu"})
    assert auto["accelerator"] == "auto"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator is what is set")
def test_freed_memory_is_kept_and_used_again() -> None:
    script = """
import resource, torch
from trompe.engine.hardware import keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    [torch.ones(12, 2**20) for _ in range(3)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
fresh = min(faults() for _ in range(5))
keep_freed_memory()
print(fresh, min(faults() for _ in range(20)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    fresh, kept = map(int, done.stdout.split())
    assert fresh > 8000 and kept < 100, done  # 48 MiB are 12288 pages of 4 KiB
