"""This process's share of the global batch: the one place where work is divided over processes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

# All of torch's batch norms; instance norms with running statistics are of this kind too.
from torch.nn.modules.batchnorm import _NormBase

from trompe.errors import UserError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Share:
    """Which rows of a global batch this process has.

    The rows of all processes, in order of their rank, make up the global batch, so that results do
    not depend on how many processes there are. A batch may be processed in parts, one after the
    other (gradient accumulation): then each part is divided over the processes.

    Args:
        rank: number of this process, from 0.
        world_size: number of processes.
        parts: number of parts that a batch is processed in.
    """

    rank: int = 0
    world_size: int = 1
    parts: int = 1

    def rows(self, count: int) -> slice | Tensor:
        """Which rows of a global batch of `count` this process has, part after part.

        Raises:
            UserError: if the batch cannot be divided equally.
        """
        if count % (self.world_size * self.parts):
            by = f"the {self.world_size} processes" if self.world_size > 1 else ""
            if self.parts > 1:
                by += f"{' times ' if by else ''}model.accumulate={self.parts}"
            raise UserError(f"batch_size={count} must be divisible by {by}")
        if self.parts == 1:
            each = count // self.world_size
            return slice(self.rank * each, (self.rank + 1) * each)
        grouped = torch.arange(count).view(self.parts, self.world_size, -1)
        return grouped[:, self.rank].flatten()

    def deal(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process's items, dealt in turn: some processes may get one fewer."""
        return items[self.rank :: self.world_size]

    def mean(self, values: Tensor) -> Tensor:
        """The mean of a tensor over all processes. Collective."""
        if self.world_size == 1:
            return values
        total = values.detach().clone()
        torch.distributed.all_reduce(total)
        return total / self.world_size

    def gather(self, rows: Tensor) -> Tensor:
        """The rows (n, ...) of all processes in the order of the global batch. Collective."""
        if self.world_size == 1:
            return rows
        rows = rows.detach().contiguous()
        found = [torch.empty_like(rows) for _ in range(self.world_size)]
        torch.distributed.all_gather(found, rows)
        return torch.cat(found)


def level_batch_norms(module: nn.Module, share: Share) -> None:
    """Replace the running statistics of batch norms by their means over all processes. Collective.

    Each process has the statistics of its own share; with their mean one checkpoint describes
    every process, and resuming is exact. Nothing else is leveled.
    """
    if share.world_size == 1:
        return
    for name, buffer in _leveled(module).items():
        module.get_buffer(name).copy_(share.mean(buffer))


def check_alike(module: nn.Module, share: Share) -> None:
    """Refuse state that differs between processes: a checkpoint holds only one. Collective.

    Raises:
        UserError: naming the first such parameter or buffer.
    """
    if share.world_size == 1:
        return
    state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    sums = torch.stack([tensor.detach().double().sum() for tensor in state.values()])
    everywhere = share.gather(sums[None])
    differing = ~torch.isclose(everywhere, everywhere[:1], rtol=1e-9, atol=1e-9, equal_nan=True)
    for name, differs in zip(state, differing.any(0).tolist(), strict=True):
        if differs:
            raise UserError(
                f"{name} differs between processes, but a checkpoint holds one: compute it from "
                "the whole global batch (share.mean for a number, share.gather for rows)"
            )


def _leveled(module: nn.Module) -> dict[str, Tensor]:
    """The floating-point buffers of all batch norms, by name."""
    return {
        f"{prefix}.{name}" if prefix else name: buffer
        for prefix, layer in module.named_modules()
        if isinstance(layer, _NormBase)
        for name, buffer in layer.named_buffers(recurse=False)
        if buffer.is_floating_point()
    }
