"""tensors.jsonl: a checksum of every tensor at the end of every tick, to tell where runs part."""

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from trompe.lines import append_line, cut_back, line_blocks
from trompe.runs.reading import Unreadable, opened, parse_json

if TYPE_CHECKING:
    from torch import Tensor

_DIGITS = 8  # of a CRC-32, as hexadecimal


class Sums(NamedTuple):
    """Checksums at the end of a tick.

    Args:
        kimg: thousands of images seen.
        by_name: CRC-32 of each tensor, hexadecimal, in the model's order.
    """

    kimg: float
    by_name: dict[str, str]


class FirstTensor(NamedTuple):
    """Where two runs part: the first tick with other tensors, and the first of these."""

    kimg: float
    name: str
    differing: int

    def __str__(self) -> str:
        more = f" and {self.differing - 1} more" if self.differing > 1 else ""
        return f"first tensor at {self.kimg:g} kimg: {self.name}{more}"


class SumsFile:
    """Writes them, the names once in each session.

    Args:
        path: the file; it is continued.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: list[str] | None = None

    def append(self, kimg: float, tensors: "Mapping[str, Tensor]") -> None:
        """Add a tick.

        Raises:
            CannotWrite: if it cannot be written.
        """
        names = list(tensors)
        named = {} if names == self._names else {"names": names}
        sums = "".join(checksum(tensor) for tensor in tensors.values())
        append_line(self._path, json.dumps({"kimg": kimg, **named, "crc32": sums}))
        self._names = names


def checksum(tensor: "Tensor") -> str:
    """CRC-32 of a tensor's bytes, in 8 hexadecimal digits."""
    import torch  # listing runs does without

    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return f"{zlib.crc32(flat.view(torch.uint8).numpy().data):0{_DIGITS}x}"


def read_sums(path: Path) -> list[Sums]:
    """Those of every tick, oldest first; none if there is no such file, or it is damaged."""
    if not path.is_file():
        return []
    found: list[Sums] = []
    names: list[str] = []
    try:
        with opened(path) as file:
            for lines, is_whole in line_blocks(file):
                for line in lines if is_whole else ():
                    value = parse_json(line.decode())
                    names = value.get("names", names)
                    sums = [
                        value["crc32"][n : n + _DIGITS]
                        for n in range(0, len(names) * _DIGITS, _DIGITS)
                    ]
                    found.append(Sums(value["kimg"], dict(zip(names, sums, strict=True))))
    except (Unreadable, ValueError, TypeError, KeyError, AttributeError):
        return []
    return found


def rewind_sums(path: Path, kimg: float) -> None:
    """Drop those after `kimg`, and what was torn.

    Raises:
        CannotWrite: if they cannot be dropped.
    """

    def is_kept(line: bytes, is_whole: bool) -> bool:
        try:
            return is_whole and float(json.loads(line)["kimg"]) <= kimg + 1e-9
        except (ValueError, TypeError, KeyError):
            return False

    cut_back(path, is_kept)


def first_tensor(old: Sequence[Sums], new: Sequence[Sums]) -> FirstTensor | None:
    """Where they part; None if they do not, or have no tick in common."""
    others = {sums.kimg: sums.by_name for sums in new}
    for kimg, by_name in old:
        other = others.get(kimg, by_name)
        differing = [name for name, value in by_name.items() if other.get(name) != value]
        if differing:
            return FirstTensor(kimg, differing[0], len(differing))
    return None
