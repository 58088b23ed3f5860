"""Stylizing with a trained run."""

from typing import Any

import psutil
import torch
from torch import Tensor
from torch.nn.functional import pad

from trompe.engine.hardware import cpu_has_bf16
from trompe.errors import UserError, check_positive
from trompe.methods.style import StyleTransfer
from trompe.networks.tiling import stylize_in_tiles, tile_memory
from trompe.networks.transformer import StyleTransformer
from trompe.runs.run_folder import open_run
from trompe.tasks.sample import find_checkpoint, load_method

_GIB = 2**30
# The generators halve the resolution twice.
_MULTIPLE = 4
_SMALLEST_TILE = 64  # with a smaller one most of the work would go into its halo


def autocast_picture(device: torch.device) -> torch.autocast:
    """bfloat16 where the hardware has it: PSNR above 55 dB against float32 on a trained run."""
    native = device.type != "cpu" or cpu_has_bf16()
    return torch.autocast(device.type, torch.bfloat16, enabled=native)


class Trained:
    """The averaged generator of a run's checkpoint. See `Stylizer`.

    Args:
        run: the run folder.
        checkpoint: last or best.
        tile: side in pixels of the tiles in which a large picture is made; None: whole if the
            memory suffices, else in the largest tiles that fit.
        memory_gib: memory that a picture may take; None: half of what is free.

    Raises:
        UserError: if the run has no such checkpoint or is no style transfer, or a value is wrong.
    """

    def __init__(
        self, run: str | None, checkpoint: str, tile: int | None, memory_gib: float | None
    ) -> None:
        if run is None:
            raise UserError("run= is missing: name the folder of a style-transfer run")
        folder = open_run(run)
        loaded, which = find_checkpoint(folder, checkpoint)
        method = load_method(folder, loaded)
        if not isinstance(method, StyleTransfer):
            raise UserError(
                f"{folder.path} was not trained on styles: its model is no style transfer"
            )
        for name, value in (("tile", tile), ("memory_gib", memory_gib)):
            if value is not None:
                check_positive(name, value)
        self.method = method
        self.name = f"{folder.path.name} ({which})"
        self.device = method.device
        self.takes_style = method.takes_style
        self.tile = tile
        self.memory_gib = memory_gib

    def describe(self, style: Tensor) -> Tensor:
        """See `Stylizer`."""
        method: Any = self.method
        return method.perception.describe(style)[1]

    @torch.no_grad()
    def render(self, content: Tensor, style: Tensor | None, strength: float) -> Tensor:
        """See `Stylizer`.

        Below full strength the style's parameters are mixed with those of the content's own, and
        what the generator fails to reproduce of the content is given back in the same measure. A
        run that knows one style only has its pictures faded into the content.
        """
        generator: Any = self.method.generator_ema
        height, width = content.shape[2:]
        # The edge is repeated up to a whole number of the generator's coarsest pixels.
        padding = (0, -width % _MULTIPLE, 0, -height % _MULTIPLE)
        padded = pad(content, padding, mode="replicate")
        if style is None:
            picture = self.make(padded, generator.predict(padded))
            picture = torch.lerp(padded, picture, strength)
        else:
            parameters = generator.predict(style)
            if strength == 1:
                picture = self.make(padded, parameters)
            else:
                own = generator.predict(self.describe(content))
                missing = padded - self.make(padded, own)
                picture = self.make(padded, torch.lerp(own, parameters, strength))
                picture = (picture + (1 - strength) * missing).clamp(-1, 1)
        return picture[..., :height, :width]

    def make(self, content: Tensor, parameters: Tensor) -> Tensor:
        """The generator's picture, whole or in tiles; in bfloat16 where the hardware has it."""
        tile = self.choose_tile(*content.shape[2:])
        with autocast_picture(self.device):
            try:
                if tile is None:
                    return self.method.stylize(content, parameters)
                generator: Any = self.method.generator_ema
                return stylize_in_tiles(generator, content, parameters, tile).float()
            except (RuntimeError, MemoryError) as error:
                if not isinstance(error, MemoryError) and "memory" not in str(error):
                    raise
                height, width = content.shape[2:]
                raise UserError(
                    f"a picture of {width} x {height} pixels needs more memory than there is: a "
                    "smaller size= or tile= fits"
                ) from error

    def choose_tile(self, height: int, width: int) -> int | None:
        """The side of the tiles for a picture; None if it can be made whole.

        Raises:
            UserError: if it is too large for the memory, saying what is not.
        """
        generator = self.method.generator_ema
        if not isinstance(generator, StyleTransformer):
            return None
        limit = self.memory_limit()
        longer = max(height, width)
        if self.tile is None and tile_memory(generator, height, width, longer) <= limit:
            return None
        fitting = [
            tile
            for tile in (_SMALLEST_TILE * 2**i for i in range(20))
            if tile < longer and tile_memory(generator, height, width, tile) <= limit
        ]
        if not fitting:
            needed = tile_memory(generator, height, width, min(_SMALLEST_TILE, longer))
            share = (limit / needed) ** 0.5 * min(height, width)
            raise UserError(
                f"a picture of {width} x {height} pixels needs {needed / _GIB:.2g} GiB of memory "
                f"even in tiles of {_SMALLEST_TILE} pixels, and may take {limit / _GIB:.2g}: "
                f"size={int(share) // 64 * 64} fits, or raise memory_gib="
            )
        if self.tile is None:
            return fitting[-1]
        needed = tile_memory(generator, height, width, self.tile)
        if needed > limit:
            raise UserError(
                f"tile={self.tile} needs {needed / _GIB:.2g} GiB of memory for a picture of "
                f"{width} x {height} pixels, which may take {limit / _GIB:.2g}: tile={fitting[-1]} "
                "fits, or raise memory_gib="
            )
        return self.tile if self.tile < longer else None

    def memory_limit(self) -> float:
        """Bytes that a picture may take."""
        if self.memory_gib is not None:
            return self.memory_gib * _GIB
        if self.device.type == "cuda":
            return torch.cuda.mem_get_info(self.device)[0] / 2
        return psutil.virtual_memory().available / 2
