"""Data sets and measures as users write them, each with a mistake; `test_own_parts.py` has them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from trompe.data.image_data import Batch, ImageData
from trompe.data.loader import TrainingData
from trompe.data.source import Source
from trompe.metrics.marks import higher_is_better
from trompe.metrics.reference import Reference

SIDE = 16


class Plain(Source):
    """Black images; what is given takes the place of what is right."""

    def __init__(self, **given: Any) -> None:
        self.labels = given.get("labels", np.arange(8) % 2)
        self.class_names = given.get("class_names", ["even", "odd"])
        self.given = given

    def fingerprint(self) -> Any:
        return self.given.get("fingerprint", f"plain {sorted(self.given)}")

    def read(self, index: int) -> Any:
        return self.given.get("image", np.zeros((SIDE, SIDE, 3), np.uint8))


class Lost(Plain):
    def read(self, index: int) -> Any:
        return {}["lost"]


class Unlabelled(Source):
    def fingerprint(self) -> str:
        return "unlabelled"

    def read(self, index: int) -> None: ...


class Half(Source):
    def fingerprint(self) -> str:
        return "half"


class Sourceless(ImageData): ...


class Own(ImageData):
    """Data of a source that the config names, with what is given to it."""

    def __init__(self, source: str, given: Any = None, **common: Any) -> None:
        super().__init__(**common)
        self.make = {"list": list, "plain": Plain, "lost": Lost}.get(source)
        self.make = self.make or {"unlabelled": Unlabelled, "half": Half}[source]
        self.given = {key: GIVEN.get(value, value) for key, value in (given or {}).items()}

    def open_source(self) -> Any:
        return self.make(**self.given)


GIVEN = {
    "none": None,
    "floats": np.zeros(8),
    "up to 3": np.arange(8) % 4,
    "float image": np.zeros((SIDE, SIDE, 3)),
    "deep image": np.zeros((SIDE, SIDE, 7), np.uint8),
}


class Unprepared(ImageData):
    def __init__(self, **common: Any) -> None:
        self.common = common


class Broken(ImageData):
    def __init__(self, **common: Any) -> None:
        super().__init__(**common)
        self.first = [][0]


class NoData:
    def __init__(self, **common: Any) -> None: ...


class Untyped(TrainingData): ...


class Streamless(TrainingData):
    batch_type = Batch

    def __init__(self, **common: Any) -> None:
        super().__init__()


class Stream(Streamless):
    """Streams one batch for ever."""

    given: Any = torch.zeros(8, 3, SIDE, SIDE)
    fingerprint = "stream"

    def stream(self, seed: int, batch_size: int) -> Any:
        return self

    def batch(self, position: int, rows: slice) -> Any:
        return self.given


LABELS = torch.zeros(8, dtype=torch.long)


class Floats(Stream):
    given = Batch(torch.zeros(8, 3, SIDE, SIDE), LABELS)


class Sizes(Stream):
    given = Batch(torch.zeros(8, 3, SIDE + 1, SIDE, dtype=torch.uint8), LABELS)


class Short(Stream):
    given = Batch(torch.zeros(8, 3, SIDE, SIDE, dtype=torch.uint8), LABELS[:3])


def spread(reference: Reference, generated: Tensor) -> float:
    return float(generated.std())


@higher_is_better
def both(reference: Reference, generated: Tensor) -> dict[str, Any]:
    return {"mean": generated.mean(), "count": len(reference)}


def text(reference: Reference, generated: Tensor) -> str:
    return "good"


def nan(reference: Reference, generated: Tensor) -> float:
    return float("nan")


def nothing(reference: Reference, generated: Tensor) -> None: ...


def row(reference: Reference, generated: Tensor) -> Tensor:
    return generated.mean(0)


def empty(reference: Reference, generated: Tensor) -> dict[str, float]:
    return {}


def lost(reference: Reference, generated: Tensor) -> float:
    return {}["lost"]


def unlike(reference: Reference, generated: Tensor) -> Tensor:
    return generated @ generated


def greedy(reference: Reference, generated: Tensor) -> float:
    raise ValueError("1,000,000 images are needed")


def lone(reference: Reference) -> float:
    return 0.0
