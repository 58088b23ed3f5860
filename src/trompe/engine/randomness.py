"""Randomness as a function of (seed, purpose, images seen), never as a state.

A run that is killed and resumed, or spread over more processes, draws the same numbers because
no earlier draw matters. Everything random in training comes from `keyed_generator`.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from trompe.engine.share import Share
from trompe.errors import UserError


def keyed_seed(seed: int, purpose: str, position: int = 0) -> int:
    """A 63-bit seed that depends on all three arguments and on nothing else.

    Args:
        seed: the experiment's seed.
        purpose: what the numbers are for, e.g. ``"latents"``; two purposes never share numbers.
        position: the image count at which they are drawn (or a data epoch, a sample's number).
    """
    digest = hashlib.blake2b(f"{seed}/{purpose}/{position}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def keyed_generator(
    seed: int, purpose: str, position: int = 0, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A fresh generator on `device`, seeded with `keyed_seed(seed, purpose, position)`.

    Draws are the same on every machine of one device type; CPU and CUDA draw different numbers.
    """
    generator = torch.Generator(device=device)
    generator.manual_seed(keyed_seed(seed, purpose, position))
    return generator


class Draws:
    """The random numbers of one global batch, by name: each drawn for the whole batch, sliced once.

    They are made when they are asked for, and depend on (seed, name, images seen) alone. Within
    `named`, layers draw numbers of their own: see `trompe.networks.noise`.

    Args:
        seed: the experiment's seed.
        images: seen before this batch.
        batch_size: images in the global batch.
        share: this process's share of it.
        device: where the numbers are drawn.
        part: the part of the share that these numbers are for; None: all parts.

    Attributes:
        kept: what one step of a batch leaves for a later one, under any names.
    """

    def __init__(
        self,
        seed: int,
        images: int,
        batch_size: int,
        share: Share,
        device: torch.device | str = "cpu",
        part: int | None = None,
    ) -> None:
        self._key = (seed, images, batch_size, share, device)
        self._rows = share.rows(batch_size)
        if part is not None:
            each = batch_size // (share.world_size * share.parts)
            all_rows = torch.arange(batch_size)[self._rows]
            self._rows = all_rows[part * each : (part + 1) * each]
        self.share = share
        self.kept: dict[str, Tensor] = {}
        self._scope = "layers"
        self._count = 0

    def part(self, number: int) -> "Draws":
        """The numbers for one of the parts that the batch is processed in."""
        return Draws(*self._key, part=number)

    def every(self, step: int) -> "Draws":
        """The numbers for this process's first image of `step`, the next of the next `step`, ...

        They are the same images whatever the number of processes.

        Raises:
            UserError: if the images cannot be divided by it.
        """
        mine = torch.arange(self._key[2])[self._rows]
        if len(mine) % step:
            raise UserError(f"the {len(mine)} images of a process must be divisible by {step}")
        chosen = Draws(*self._key)
        chosen._rows = mine[::step]
        return chosen

    def normal(self, name: str, *shape: int) -> Tensor:
        """Standard normal numbers (images of this process, *shape)."""
        return self._draw(torch.randn, name, shape)

    def uniform(self, name: str, *shape: int) -> Tensor:
        """Numbers from [0, 1), (images of this process, *shape)."""
        return self._draw(torch.rand, name, shape)

    def rows(self) -> Tensor:
        """Which rows (n,) of the global batch this process's images are, long."""
        _, _, batch_size, _, device = self._key
        return torch.arange(batch_size)[self._rows].to(device)

    def seed(self, name: str) -> int:
        """A number for the whole batch, on the host."""
        seed, images, *_ = self._key
        return keyed_seed(seed, name, images)

    @contextmanager
    def named(self, purpose: str) -> Iterator[None]:
        """Inside this context, layers draw for that purpose: same purpose, same numbers."""
        before = self._scope, self._count
        self._scope, self._count = purpose, 0
        try:
            yield
        finally:
            self._scope, self._count = before

    def next_layer(self) -> str:
        """The name of the numbers of the next layer that draws."""
        self._count += 1
        return f"{self._scope}/layer {self._count - 1}"

    def _draw(self, make: Callable[..., Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
        seed, images, batch_size, _, device = self._key
        generator = keyed_generator(seed, name, images, device)
        return make((batch_size, *shape), generator=generator, device=device)[self._rows]


_current: ContextVar[Draws | None] = ContextVar("draws", default=None)


@contextmanager
def drawing(draws: Draws) -> Iterator[None]:
    """Inside this context, layers that need random numbers take them from `draws`."""
    token = _current.set(draws)
    try:
        yield
    finally:
        _current.reset(token)


def current_draws() -> Draws | None:
    """What layers draw from now; None outside of training."""
    return _current.get()
