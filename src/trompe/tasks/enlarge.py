"""A picture enlarged by a trained run: `trompe restore task=upscale run=`."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from torch import Tensor

from trompe.data.fine_picture import read_fine
from trompe.engine.memory import GIB, limit_bytes
from trompe.errors import UserError, check_count, check_positive
from trompe.methods.capabilities import Enlarges
from trompe.methods.trained import find_checkpoint, load_method
from trompe.methods.usage import require
from trompe.paths import expand
from trompe.runs.naming import find_run
from trompe.training.restoration import described, fidelity

_SMALLEST_TILE = 32  # pixels; with a smaller one most of the work would go into its halo


def enlarge(cfg: DictConfig, target: Path) -> None:
    """Write `cfg.picture`, enlarged, to `target`; say how near it is to `cfg.reference`.

    Raises:
        UserError: if a value is wrong, or even a small tile does not fit the memory.
    """
    for key, value in (("tile", cfg.tile), ("factor", cfg.factor)):
        if value is not None:
            check_count(key, value)
    run = find_run(cfg.run, cfg.paths.output_dir)
    loaded, which = find_checkpoint(run, cfg.checkpoint)
    method: Any = load_method(run, loaded, cfg.trust)
    require(method, "restore", run.path)
    if cfg.factor not in (None, method.factor):
        raise UserError(f"factor={cfg.factor}: {run.path} enlarges {method.factor} times")
    channels = run.read_config()["data"]["channels"]
    given = read_fine("picture", expand(cfg.picture, "picture"), channels)
    height, width = given.pixels.shape[2:]
    size = (method.factor * height, method.factor * width)
    good = None if cfg.reference is None else read_reference(cfg.reference, channels, size)
    tile = choose_tile(method, height, width, cfg.tile, cfg.memory_gib)
    signed = (given.pixels * 2 - 1).to(method.device)
    large = given.with_pixels(method.enlarge(signed, tile).cpu() / 2 + 0.5)
    large.save(target)
    in_tiles = "" if tile is None else f", in tiles of {tile} pixels"
    print(f"{size[1]} x {size[0]} pixels by {run.path.name} ({which}){in_tiles}")
    if good is not None:
        print(described(fidelity(large.pixels, good)))


def read_reference(reference: str, channels: int, size: tuple[int, int]) -> Tensor:
    """The good picture (1, C, H, W) in [0, 1].

    Raises:
        UserError: if it cannot be read, or has another size.
    """
    good = read_fine("reference", expand(reference, "reference"), channels).pixels
    height, width = good.shape[2:]
    if (height, width) != size:
        raise UserError(
            f"reference={reference} has {width} x {height} pixels, but the enlarged picture has "
            f"{size[1]} x {size[0]}"
        )
    return good


def choose_tile(
    method: Enlarges, height: int, width: int, tile: int | None, memory_gib: float | None
) -> int | None:
    """The side of the tiles for a picture, pixels; None if it can be made whole.

    Raises:
        UserError: if not even the smallest fits the memory.
    """
    if memory_gib is not None:
        check_positive("memory_gib", memory_gib)
    limit = limit_bytes(method.device, memory_gib, 0.5)  # type: ignore[attr-defined]
    if tile is not None:
        return tile if tile < max(height, width) else None
    if method.memory(height, width) <= limit:
        return None
    sides: list[int] = [_SMALLEST_TILE * 2**i for i in range(12)]
    fitting = [side for side in sides if method.memory(side) <= limit]
    if not fitting:
        needed = method.memory(_SMALLEST_TILE) / GIB
        raise UserError(
            f"a tile of {_SMALLEST_TILE} pixels takes {needed:.2g} GiB of memory, but "
            f"{limit / GIB:.2g} may be used: raise memory_gib="
        )
    return fitting[-1]
