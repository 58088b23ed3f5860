"""Penalties of one network with their weights, some taken only now and then."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from trompe.engine.randomness import Draws
from trompe.engine.schedules import Number, check_number
from trompe.errors import UserError, check_count


class Penalties(nn.Module):
    """The weighted sum of a network's penalties.

    Args:
        load: gives the function of a name, of (network, first, second, uniform).
        weights: a number or a schedule for each name; or ``{weight, penalty}``, where the penalty
            is a function of the same signature, or a module if it has state. 0 leaves one out.
        every: for some names, the number of batches between two, with the weight times that
            number (Karras et al. 2020, StyleGAN2, sec. 3.1).

    Raises:
        UserError: if a name is not known, a weight below 0, or `every` below 1.
    """

    __call__: Callable[..., Tensor]

    def __init__(
        self,
        load: Callable[[str], Callable[..., Tensor]],
        weights: Mapping[str, Any],
        every: Mapping[str, int],
    ) -> None:
        super().__init__()
        self.functions: dict[str, Callable[..., Tensor]] = {}
        self.weights: dict[str, Number] = {}
        self.every: dict[str, int] = {}
        for name, entry in weights.items():
            weight: Any = entry.get("weight") if isinstance(entry, Mapping) else entry
            check_number(f"model: the weight of {name}", weight, 0)
            interval = every.get(name, 1)
            check_count(f"model.penalty_every.{name}", interval)
            if weight == 0:
                continue
            given = entry.get("penalty") if isinstance(entry, Mapping) else None
            function = load(name) if given is None else given
            if isinstance(function, nn.Module):
                self.add_module(name.replace(".", "_"), function)
            self.functions[name] = function
            self.weights[name] = weight
            self.every[name] = interval

    def due(self, turn: int) -> list[str]:
        """The penalties that the network's step number `turn`, from 0, takes."""
        return [name for name, every in self.every.items() if turn % every == 0]

    def steps(self, optimizer: str, turn: int) -> list[str]:
        """The names in a phase of an optimizer's steps number `turn`, from 0.

        A lazy penalty has a step of its own after the others' (StyleGAN2, appendix B): with r1
        every second time, ``d`` and ``d/r1``, then ``d``.
        """
        due = self.due(turn)
        lazy = [f"{optimizer}/{name}" for name in due if self.every[name] > 1]
        return [optimizer, *(name for name in due if self.every[name] == 1), *lazy]

    @property
    def steps_per_turn(self) -> float:
        """The mean number of steps in a turn."""
        return 1 + sum(1 / every for every in self.every.values() if every > 1)

    def forward(
        self,
        names: Sequence[str],
        value: Callable[[Number], float],
        track: Callable[[str, Tensor], None],
        arguments: Sequence[Any],
        draws: Draws,
    ) -> Tensor:
        """The weighted sum, each penalty tracked by its name.

        Args:
            names: of a phase: the penalties among them are taken.
            value: gives a weight's value now.
            track: receives each penalty, unweighted.
            arguments: of the penalties: the network and two tensors of a row for each image.
            draws: of this batch.
        """
        total: Tensor = arguments[-1].new_zeros(())
        for name, function in self.functions.items():
            if name in names:
                penalty = function(*arguments, draws.uniform(f"penalty/{name}"))
                track(f"penalty/{name}", penalty)
                total = total + value(self.weights[name]) * self.every[name] * penalty
        return total


def check_every(every: Mapping[str, int], *families: Mapping[str, Any]) -> None:
    """Refuse an interval for anything but a penalty.

    Raises:
        UserError: naming those that are.
    """
    known = [name for family in families for name in family]
    for name in every:
        if name not in known:
            raise UserError(
                f"model.penalty_every.{name} is not a penalty: choose one of {', '.join(known)}"
            )
