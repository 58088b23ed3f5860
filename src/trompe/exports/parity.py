"""Proof that an exported model computes what the run does, on inputs that can be made again."""

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from trompe.data.painter import PaintedSource
from trompe.engine.memory import GIB, free_bytes
from trompe.engine.randomness import keyed_generator
from trompe.errors import UserError
from trompe.exports.exportable import Exportable, Input
from trompe.exports.program import Run, told_as
from trompe.images import to_signed, to_uint8
from trompe.metrics.features import RandomConv
from trompe.metrics.frechet import fit_gaussian, frechet_distance

COUNT = 64  # inputs
LIMIT = 1e-3  # largest difference of a number in [-1, 1]: an eighth of a gray level
_SIDE = 64  # pixels of pictures, where the size is dynamic
# Where it is: how many inputs, how many at once, and height and width of contents and styles. The
# last two sizes are odd, one wide and one high.
_PICTURES = (
    (24, 8, (_SIDE, _SIDE), (_SIDE, _SIDE)),
    (24, 1, (_SIDE, _SIDE), (48, 56)),
    (8, 2, (67, 93), (71, 59)),
    (8, 1, (101, 53), (45, 87)),
)
_LATENTS = ((40, 8), (24, 1))  # how many, and how many at once


class Case(NamedTuple):
    """Inputs of a model, and the images that the run's own model makes of them."""

    inputs: tuple[Tensor, ...]
    expected: Tensor


def make_cases(module: Exportable) -> list[Case]:
    """64 keyed inputs, with the images that they should give.

    Two batch sizes, and for pictures two odd sizes, where these are not fixed; a last batch of a
    fixed size begins again with the first inputs.

    Raises:
        UserError: if the run's own model makes numbers that are not finite, or there is no memory
            for so many pictures of a fixed size.
    """
    _check_memory(module)
    cases = []
    with torch.no_grad():
        for inputs in _inputs(module):
            expected = module(*inputs)
            if not bool(expected.isfinite().all()):
                raise UserError(
                    "the model's own images are not finite numbers: nothing can be exported"
                )
            cases.append(Case(inputs, expected))
    return cases


def _check_memory(module: Exportable) -> None:
    """Of pictures, contents and styles, and the images of the run and of the exported model."""
    batch, side = module.sizes
    if side is None:
        return
    needed = 4 * max(COUNT, batch or 1) * 3 * side**2 * 4  # float32
    if needed > free_bytes(torch.device("cpu")) / 2:
        asked = f"size={side}" if batch is None else f"size={side}, batch={batch}"
        raise UserError(
            f"{asked}: the pictures to prove it on take {needed / GIB:.1f} GiB, more than half "
            "of the free memory: choose a smaller size"
        )


def measure(cases: Sequence[Case], run: Run, name: str) -> dict[str, Any]:
    """How the images of an exported model differ from those of the run.

    Args:
        cases: of `make_cases`.
        run: the exported model.
        name: of its format, for messages.

    Returns:
        `largest` and `mean`: of the absolute differences, in [-1, 1]. `pixels`: the share of 8-bit
        values that differ. `distance`: the Fréchet distance between both sets on the features of
        `metrics.features.RandomConv`, and `spread`, the same between two halves of the run's own
        images, to compare it with. `inputs`: how many. `shapes`: of the images. `seconds`: that the
        exported model took for all.

    Raises:
        UserError: if it cannot run with one of them.
    """
    began = time.perf_counter()
    with torch.no_grad(), told_as(f"format={name}"):
        made = [run(*case.inputs) for case in cases]
    seconds = time.perf_counter() - began
    pairs = [(case.expected, images) for case, images in zip(cases, made, strict=True)]
    differences = torch.cat([(a - b).abs().flatten() for a, b in pairs]).double()
    eight = [(to_uint8(a.clone()), to_uint8(b.nan_to_num())) for a, b in pairs]
    differing = torch.cat([(a != b).flatten() for a, b in eight])
    network = RandomConv()
    features, others = (
        network(image for pair in eight for image in pair[which]) for which in (0, 1)
    )
    largest = float(differences.max())
    return {
        "inputs": len(features),
        "shapes": list(dict.fromkeys(str(tuple(case.expected.shape)) for case in cases)),
        "seconds": round(seconds, 3),
        "largest": largest if math.isfinite(largest) else math.inf,
        "mean": float(differences.mean()),
        "pixels": float(differing.double().mean()),
        "distance": float(frechet_distance(fit_gaussian(features), others)),
        "spread": float(frechet_distance(fit_gaussian(features[::2]), features[1::2])),
    }


def check(found: dict[str, Any], name: str) -> None:
    """Refuse a model that differs by more than `LIMIT`.

    Raises:
        UserError: with how much.
    """
    if not found["largest"] <= LIMIT:
        raise UserError(
            f"format={name}: the exported model's numbers differ from the run's by up to "
            f"{found['largest']:.2g}, and {LIMIT:g} is allowed: nothing was written"
        )


def line(found: dict[str, Any]) -> str:
    """What was measured, in one line."""
    return (
        f"largest difference {found['largest']:.1e}, mean {found['mean']:.1e}, "
        f"{found['pixels']:.3%} of 8-bit values differ, distance {found['distance']:.1e} "
        f"({found['spread']:.1e} between halves)"
    )


def _inputs(module: Exportable) -> list[tuple[Tensor, ...]]:
    first, *_ = module.inputs
    batch = module.sizes.batch
    if first.name == "latents":
        latents = torch.randn(
            (COUNT, *first.shape[1:]),  # type: ignore[arg-type]
            generator=keyed_generator(0, "export parity"),
        )
        rows = [latents]
        if module.inputs[1:]:
            rows.append(torch.arange(COUNT) % module.method.classes)
        counts = [n for n, _ in _LATENTS]
        columns = [
            [
                some
                for part, (_, size) in zip(tensor.split(counts), _LATENTS, strict=True)
                for some in _batches(part, batch or size, batch)
            ]
            for tensor in rows
        ]
        return list(zip(*columns, strict=True))
    return _pictures(module.inputs, batch, module.sizes.side)


def _pictures(
    inputs: Sequence[Input], batch: int | None, side: int | None
) -> list[tuple[Tensor, ...]]:
    """Paintings as contents, and in another order as styles."""
    square = (side or 0, side or 0)
    plan = [(COUNT, 4, square, square)] if side else _PICTURES
    source = PaintedSource(COUNT, 2 * _SIDE, 0)
    pictures = torch.stack([torch.tensor(source.read(i)) for i in range(COUNT)])
    signed = to_signed(pictures.permute(0, 3, 1, 2)).contiguous()
    others = signed[torch.randperm(COUNT, generator=keyed_generator(0, "export parity"))]
    found: list[tuple[Tensor, ...]] = []
    start = 0
    for count, at_once, *shapes in plan:
        rows = slice(start, start + count)
        start += count
        both = zip((signed[rows], others[rows]), shapes, strict=True)
        resized = [
            interpolate(x, shape, mode="bilinear", antialias=True).clamp(-1, 1) for x, shape in both
        ]
        parts = [_batches(x, batch or at_once, batch) for x in resized[: len(inputs)]]
        found += zip(*parts, strict=True)
    return found


def _batches(rows: Tensor, size: int, fixed: int | None) -> list[Tensor]:
    parts = list(rows.split(size))
    if fixed and len(parts[-1]) < size:
        again = rows.repeat(-(-size // len(rows)), *[1] * (rows.ndim - 1))
        parts[-1] = torch.cat([parts[-1], again])[:size]
    return parts
