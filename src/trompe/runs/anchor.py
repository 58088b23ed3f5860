"""The anchor: a training of seconds, whose result on other machines is known."""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import torch

from trompe.engine.hardware import cpu_name
from trompe.files import whole_file
from trompe.runs.differences import TIMING, largest_difference
from trompe.runs.run_folder import RunFolder
from trompe.runs.tensors import Sums, first_tensor, read_sums

# Two ticks of a DCGAN, convolutions, normalization and Adam, in float32 on one thread.
OVERRIDES = (
    *("data=shapes", "data.size=64", "data.resolution=16", "batch_size=16"),
    *("tick_kimg=0.064", "kimg=0.128", "metrics=null", "samples=null", "logger=[]", "seed=0"),
    *("model=dcgan", "model.generator.width=8", "model.discriminator.width=8"),
    *("trainer=cpu", "trainer.precision=32-true", "checkpoint.monitor=null"),
)


class Made(NamedTuple):
    """The result of the anchor.

    Args:
        cpu: the processor's name.
        capability: its instructions, as torch names them.
        torch: its version.
        values: of each tick, by name.
        sums: of each tick's tensors.
    """

    cpu: str
    capability: str
    torch: str
    values: list[dict[str, float]]
    sums: list[Sums]

    @property
    def where(self) -> str:
        """The machine and build."""
        return f"{self.cpu} ({self.capability}), torch {self.torch}"


def made_by(run: RunFolder) -> Made:
    """The result of a run of the anchor on this machine."""
    values = [
        {k: v for k, v in record.items() if not k.startswith(TIMING)}
        for record in run.read_metrics()
    ]
    capability = torch.backends.cpu.get_cpu_capability()
    return Made(cpu_name(), capability, torch.__version__, values, read_sums(run.tensors_file))


def read_anchors(path: Path | None = None) -> list[Made]:
    """The committed results."""
    file = files("trompe.runs") / "anchor.json" if path is None else path
    return [_from_plain(value) for value in json.loads(file.read_text())]


def add_anchor(made: Made, path: Path) -> None:
    """Add a result to a file, in the place of one of the same processor and instructions.

    Raises:
        CannotWrite: if it cannot be written.
    """
    before = read_anchors(path) if path.exists() else []
    kept = [one for one in before if one[:2] != made[:2]]
    plain = [{**one._asdict(), "sums": list(map(list, one.sums))} for one in (*kept, made)]
    with whole_file(path) as file:
        file.write(json.dumps(plain, indent=1) + "\n")


def _from_plain(value: Mapping[str, Any]) -> Made:
    return Made(**{**value, "sums": [Sums(*one) for one in value["sums"]]})


def differ_by(a: Made, b: Made) -> tuple[float, str | None]:
    """The largest relative difference of recorded values, and where the tensors part, if so."""
    assert len(a.values) == len(b.values)  # the anchor has two ticks, everywhere
    largest = largest_difference(a.values, b.values)
    tensor = first_tensor(a.sums, b.sums)
    relative = 0.0 if largest is None else largest.relative
    return relative, None if tensor is None else str(tensor)
