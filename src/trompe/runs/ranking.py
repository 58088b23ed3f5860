"""Ranking values, which needs equal protocols: numbers with different cards are not comparable."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from trompe.errors import UserError

# Fields of a card in which values may differ and still measure the same quantity.
_INFORMATION = {"seed", "version"}


class Value(NamedTuple):
    """A metric's value, whose it is, and the protocol that it was measured by."""

    owner: str
    value: float
    protocol: Mapping[str, Any]


def rank(name: str, values: Sequence[Value]) -> list[Value]:
    """The values, best first, by what the protocol says is better.

    Raises:
        UserError: if protocols differ, naming the fields and whose values they are.
    """
    groups = by_protocol(values)
    if len(groups) > 1:
        differences = "; ".join(
            f"{field}: " + ", ".join(f"{group[0].protocol.get(field)}" for group in groups)
            for field in differing(group[0].protocol for group in groups)
        )
        owners = " | ".join(", ".join(value.owner for value in group) for group in groups)
        raise UserError(
            f"{name} was measured by {len(groups)} protocols, so its values cannot be ranked: "
            f"{differences} (in the order: {owners}); evaluate them all with trompe evaluate"
        )
    higher = bool(values) and values[0].protocol.get("better") == "higher"
    return sorted(values, key=lambda value: value.value, reverse=higher)


def by_protocol(values: Sequence[Value]) -> list[list[Value]]:
    """The values in groups that may be compared, in the order in which they first come."""
    groups: list[list[Value]] = []
    for value in values:
        for group in groups:
            if not differing([group[0].protocol, value.protocol]):
                group.append(value)
                break
        else:
            groups.append([value])
    return groups


def differing(protocols: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of the fields in which protocols differ so that their values cannot be compared."""
    first, *others = list(protocols)
    fields = [*first, *(f for other in others for f in other if f not in first)]
    return [
        field
        for field in dict.fromkeys(fields)
        if field not in _INFORMATION and any(p.get(field) != first.get(field) for p in others)
    ]
