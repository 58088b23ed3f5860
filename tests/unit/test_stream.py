"""The order of images: a pure function of (size, seed, position), shared out over processes."""

from pathlib import Path
from typing import Any

import pytest
import torch

from trompe.data.image_data import Batch
from trompe.data.loader import TickLoader
from trompe.data.shapes import Shapes
from trompe.data.stream import IndexStream, split
from trompe.engine.clock import Clock
from trompe.engine.share import Share
from trompe.errors import UserError


def shapes(cache: Path, **changes: Any) -> Shapes:
    parameters: dict[str, Any] = {
        "size": 30,
        "seed": 0,
        "resolution": 8,
        "channels": 3,
        "cache_dir": str(cache),
        "validation_fraction": 0.1,
        "split_seed": 0,
        "flip": True,
        "memory_limit_mb": 16,
    }
    return Shapes(**(parameters | changes))


def joined(batches: list[Batch]) -> Batch:
    return Batch(*(torch.cat(parts) for parts in zip(*batches, strict=True)))


@pytest.mark.parametrize("size", [1, 2, 7, 10])
def test_every_index_once_in_each_epoch(size: int) -> None:
    shown = IndexStream(size, seed=3).indices(0, 5 * size).view(5, size)
    assert torch.equal(shown.sort().values, torch.arange(size).expand(5, size))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    first, second = IndexStream(50, seed=3).indices(0, 100).view(2, 50)
    assert not torch.equal(first, second)
    assert not torch.equal(first, IndexStream(50, seed=4).indices(0, 50))


def test_any_position_can_be_read_at_any_time() -> None:
    whole = IndexStream(7, seed=0).indices(0, 70)
    assert whole.dtype == torch.int64
    stream = IndexStream(7, seed=0)
    for position, count in [(60, 10), (0, 5), (5, 5), (6, 22), (34, 3), (3, 0), (0, 70)]:
        part = stream.indices(position, count)
        assert torch.equal(part, whole[position : position + count])
        assert torch.equal(part, IndexStream(7, seed=0).indices(position, count))
        assert len(stream._permutations) <= 2


def test_stream_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="no images to train on"):
        IndexStream(0, seed=0)


@pytest.mark.parametrize(
    ("size", "fraction", "validation"),
    [(10, 0.0, 0), (10, 0.3, 3), (10, 0.01, 1), (2, 0.9, 1), (1, 0.5, 0), (0, 0.5, 0)],
)
def test_split_divides(size: int, fraction: float, validation: int) -> None:
    train, held_out = split(size, fraction, seed=1)
    assert len(held_out) == validation
    assert torch.equal(train, train.sort().values)
    assert torch.equal(held_out, held_out.sort().values)
    assert torch.equal(torch.cat([train, held_out]).sort().values, torch.arange(size))


def test_split_depends_on_its_arguments_alone() -> None:
    first = split(100, 0.2, seed=1)
    torch.manual_seed(5)
    assert torch.equal(first[1], split(100, 0.2, seed=1)[1])
    assert not torch.equal(first[1], split(100, 0.2, seed=2)[1])


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 2.0])
def test_wrong_fractions_are_refused(fraction: float, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data.validation_fraction"):
        split(10, fraction, seed=0)
    with pytest.raises(UserError, match=r"data.validation_fraction"):
        shapes(tmp_path, validation_fraction=fraction)


# 27 training images: no batch divides them, and the second is larger than the set.
@pytest.mark.parametrize("batch_size", [12, 48])
@pytest.mark.parametrize("world", [2, 3])
def test_shares_make_up_the_batch_of_one_process(
    tmp_path: Path, world: int, batch_size: int
) -> None:
    data = shapes(tmp_path)
    assert data.split_size("train") == 27
    clock = Clock(1, 4 * batch_size / 1000, batch_size)
    alone = list(TickLoader(data, clock, seed=1))
    shared = [list(TickLoader(data, clock, 1, Share(rank, world))) for rank in range(world)]
    assert len(alone) == clock.batches_per_tick == 4
    for batch, *shares in zip(alone, *shared, strict=True):
        assert all(len(share.images) == batch_size // world for share in shares)
        assert torch.equal(joined(shares).images, batch.images)
        assert torch.equal(joined(shares).labels, batch.labels)


def test_ticks_follow_the_clock(tmp_path: Path) -> None:
    data = shapes(tmp_path)
    long, short = Clock(1, 0.064, 8), Clock(1, 0.032, 8)
    whole = joined(list(TickLoader(data, long, seed=1)))
    loader = TickLoader(data, short, seed=1)
    iterator = iter(loader)
    short.images = 32
    second = joined(list(loader))
    # An iteration goes on from where the clock stood when it began.
    first = joined(list(iterator))
    assert torch.equal(whole.images, torch.cat([first.images, second.images]))
    assert not torch.equal(first.images, second.images)


def test_loader_yields_the_streams_images_some_mirrored(tmp_path: Path) -> None:
    data = shapes(tmp_path)
    clock = Clock(1, 0.054, 54)
    (batch,) = TickLoader(data, clock, seed=1)
    plain = data.gather("train", IndexStream(27, seed=1).indices(0, 54))
    assert torch.equal(batch.labels, plain.labels)
    same = (batch.images == plain.images).flatten(1).all(1)
    mirrored = (batch.images == plain.images.flip(-1)).flatten(1).all(1)
    assert (same | mirrored).all()
    assert 10 < mirrored.sum() < 44 and 10 < same.sum() < 44
    data.flip = False
    (unflipped,) = TickLoader(data, clock, seed=1)
    assert torch.equal(unflipped.images, plain.images)
    data.flip = True
    assert torch.equal(next(iter(TickLoader(data, clock, seed=1))).images, batch.images)


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    message = r"batch_size=8 must be divisible by the 3 processes"
    with pytest.raises(UserError, match=message):
        TickLoader(shapes(tmp_path), Clock(1, 1, 8), 0, Share(0, 3))
