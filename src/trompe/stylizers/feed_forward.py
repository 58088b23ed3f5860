"""Stylizing with a generator: one pass for each picture."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from trompe.engine.hardware import cpu_has_bf16
from trompe.engine.memory import GIB, limit_bytes
from trompe.errors import UserError, check_positive
from trompe.methods.capabilities import FromPictures
from trompe.methods.usage import check_options
from trompe.networks.edges import repeat_edges

_SMALLEST_TILE = 64  # with a smaller one most of the work would go into its halo


@contextmanager
def _enough_memory(picture: str, advice: str) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        raise UserError(
            f"{picture} needs more memory than there is: set a smaller {advice}"
        ) from error


def autocast_picture(device: torch.device) -> torch.autocast:
    """bfloat16 where the hardware has it: PSNR above 44 dB against float32 on trained runs."""
    native = device.type != "cpu" or cpu_has_bf16()
    return torch.autocast(device.type, torch.bfloat16, enabled=native)


class FeedForward:
    """A method's averaged generator, once for each picture. See `Stylizer`.

    Args:
        method: makes pictures from pictures.
        name: shown to the user.
        fingerprint: of the weights.
        tile: side in pixels of the tiles in which a large picture is made; None: whole if the
            memory suffices, else in the largest tiles that fit.
        memory_gib: memory that a picture may take; None: half of what is free.
        options: of the method, such as ``direction``; None leaves one out.

    Raises:
        UserError: if a value is wrong.
    """

    def __init__(
        self,
        method: Any,
        name: str,
        fingerprint: str,
        tile: int | None,
        memory_gib: float | None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        assert isinstance(method, FromPictures)
        self.options = check_options(options or {}, method, name)
        for key, value in (("tile", tile), ("memory_gib", memory_gib)):
            if value is not None:
                check_positive(key, value)
        self.method = method
        self.name = name
        self.fingerprint = fingerprint
        self.device: torch.device = method.device  # type: ignore[attr-defined]
        self.takes_style = method.takes_style
        self.tile = tile
        self.memory_gib = memory_gib

    def describe(self, style: Tensor) -> Tensor:
        """See `Stylizer`."""
        height, width = style.shape[2:]
        with _enough_memory(f"a style of {width} x {height} pixels", "style_size="):
            return self.method.describe(style)

    @torch.no_grad()
    def render(
        self, content: Tensor, style: Tensor | None, strength: float, held: Any = None
    ) -> Tensor:
        """See `Stylizer`: whole or in tiles; in bfloat16 where the hardware has it."""
        height, width = content.shape[2:]
        padded = repeat_edges(content, self.method.multiple)
        tile = self.choose_tile(*padded.shape[2:])
        in_tiles = self.method.tile_memory(height, width, _SMALLEST_TILE) is not None
        advice = "size= or tile=" if in_tiles else "size="
        what = f"a picture of {width} x {height} pixels"
        with autocast_picture(self.device), _enough_memory(what, advice):
            picture = self.method.render(padded, style, strength, tile, held, **self.options)
        return picture[..., :height, :width]

    def hold(self, frames: Iterable[Tensor], style: Tensor | None, strength: float) -> Any:
        """See `Stylizer`."""
        with autocast_picture(self.device), _enough_memory("a frame", "size="):
            padded = (repeat_edges(frame, self.method.multiple) for frame in frames)
            return self.method.hold(padded, style, strength, **self.options)

    def choose_tile(self, height: int, width: int) -> int | None:
        """The side of the tiles for a picture; None if it can be made whole.

        Raises:
            UserError: if it is too large for the memory, saying what would fit, or the model does
                not work in tiles.
        """
        limit, longer = self.memory_limit(), max(height, width)
        whole = self.method.tile_memory(height, width, longer)
        if whole is None:
            for key in ("tile", "memory_gib"):
                if (value := getattr(self, key)) is not None:
                    raise UserError(
                        f"{key}={value}: the model of {self.name} does not work in tiles; a "
                        "smaller size= takes less memory"
                    )
            return None
        if self.tile is None and whole <= limit:
            return None

        def memory(tile: int) -> int:
            return self.method.tile_memory(height, width, tile) or 0

        fitting: list[int] = [
            tile
            for tile in (_SMALLEST_TILE * 2**i for i in range(20))
            if tile < longer and memory(tile) <= limit
        ]
        if not fitting:
            needed = memory(min(_SMALLEST_TILE, longer))
            share = (limit / needed) ** 0.5 * min(height, width)
            raise UserError(
                f"a picture of {width} x {height} pixels needs {needed / GIB:.2g} GiB of memory "
                f"even in tiles of {_SMALLEST_TILE} pixels, but may take {limit / GIB:.2g}: "
                f"size={int(share) // 64 * 64} fits, or raise memory_gib="
            )
        if self.tile is None:
            return fitting[-1]
        needed = memory(self.tile)
        if needed > limit:
            raise UserError(
                f"tile={self.tile} needs {needed / GIB:.2g} GiB of memory for a picture of "
                f"{width} x {height} pixels, but may take {limit / GIB:.2g}: tile={fitting[-1]} "
                "fits, or raise memory_gib="
            )
        return self.tile if self.tile < longer else None

    def memory_limit(self) -> float:
        """Bytes that a picture may take."""
        return limit_bytes(self.device, self.memory_gib, 0.5)
