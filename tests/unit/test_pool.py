"""The pool of earlier images, against the rule as Zhu et al. 2017 published it."""

import pytest
import torch
from torch import Tensor

from trompe.engine.pool import ImagePool
from trompe.engine.randomness import Draws
from trompe.engine.share import Share
from trompe.errors import UserError

SHAPE = (1, 2, 2)
BATCH = 5


def images(first: int, count: int = BATCH) -> Tensor:
    """Each of one number, and none twice."""
    numbers = torch.arange(first, first + count, dtype=torch.float)
    return numbers[:, None, None, None].expand(count, *SHAPE).contiguous()


def draws(position: int, share: Share | None = None) -> Draws:
    return Draws(0, position, BATCH, share or Share())


class Published:
    """`ImagePool.query` of the authors' code, image by image, told what to draw."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.kept: list[float] = []

    def query(self, new: Tensor, uniform: Tensor) -> list[float]:
        returned = []
        for image, (coin, place) in zip(new, uniform.tolist(), strict=True):
            number = float(image.flatten()[0])
            if len(self.kept) < self.size:
                self.kept.append(number)
                returned.append(number)
            elif coin < 0.5:
                index = int(place * self.size)
                returned.append(self.kept[index])
                self.kept[index] = number
            else:
                returned.append(number)
        return returned


@pytest.mark.parametrize("size", [1, 3, 7, 50])
def test_images_go_in_and_out_as_published(size: int) -> None:
    pool, published = ImagePool(size, SHAPE), Published(size)
    exchanged = 0
    for batch in range(20):
        numbers = draws(batch * BATCH)
        new = images(batch * BATCH)
        found = pool.exchange(new, numbers, "pool")
        expected = published.query(new, numbers.uniform("pool", 2))
        assert found[:, 0, 0, 0].tolist() == expected
        exchanged += sum(a != b for a, b in zip(expected, new[:, 0, 0, 0].tolist(), strict=True))
        kept = pool.images[:, 0, 0, 0].tolist()
        assert kept[: len(published.kept)] == published.kept
        assert int(pool.count) == len(published.kept) == min(size, (batch + 1) * BATCH)
    if size < 50:  # after it was full, about half
        assert 0.3 < exchanged / (100 - size) < 0.7


def test_two_pools_of_one_batch_draw_their_own_numbers() -> None:
    a, b = ImagePool(3, SHAPE), ImagePool(3, SHAPE)
    differ = 0
    for batch in range(10):
        numbers = draws(batch * BATCH)
        found = [p.exchange(images(batch * BATCH), numbers, n) for p, n in ((a, "a"), (b, "b"))]
        differ += not torch.equal(*found)
    assert differ > 5


def test_a_checkpoint_holds_all_of_it() -> None:
    pool, later = ImagePool(4, SHAPE), ImagePool(4, SHAPE)
    assert set(pool.state_dict()) == {"images", "count"}
    for batch in range(3):
        pool.exchange(images(batch * BATCH), draws(batch * BATCH), "pool")
    later.load_state_dict({k: v.clone() for k, v in pool.state_dict().items()})
    for batch in range(3, 8):
        found = [
            p.exchange(images(batch * BATCH), draws(batch * BATCH), "p") for p in (pool, later)
        ]
        assert torch.equal(*found)


def test_without_a_pool_every_image_is_returned() -> None:
    pool, new = ImagePool(0, SHAPE), images(0).requires_grad_()
    assert pool.exchange(new, draws(0), "pool") is new
    assert pool.state_dict()["images"].shape == (0, *SHAPE)
    with pytest.raises(
        UserError, match=r"^model.pool_size=-1 must be a whole number of at least 0"
    ):
        ImagePool(-1, SHAPE)


def test_what_is_returned_needs_no_gradients_and_keeps_its_type() -> None:
    pool = ImagePool(2, SHAPE)
    found = pool.exchange(images(0).requires_grad_().bfloat16(), draws(0), "pool")
    assert not found.requires_grad and found.dtype == torch.bfloat16
    assert pool.images.dtype == torch.float32
