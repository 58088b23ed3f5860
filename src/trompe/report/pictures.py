"""Sample grids small enough for one page."""

import base64
import io
import math
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from trompe.report.collect import Entry
from trompe.runs.reading import read_bytes

_BYTES = 8_000_000  # of all pictures, as text; with Plotly's 5 MB a page stays below 15 MB
_LARGEST_FILE = 64_000_000  # bytes
_MOST_PIXELS = 64_000_000
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_LARGEST, _SMALLEST = 512, 64  # pixels, of a grid's longer side


def embed_grids(entries: Sequence[Entry], most: int = 12) -> list[list[tuple[float, str]]]:
    """Up to `most` grids of every run, evenly over its kimg, as (kimg, data URL).

    The more there are, the smaller they are drawn.
    """
    chosen = [_choose(entry.run.path / "samples", most) for entry in entries]
    paths = [path for grids in chosen for _, path in grids]
    side = _side(paths)
    return [[(kimg, _encode(path, side)) for kimg, path in grids] for grids in chosen]


def _side(paths: Sequence[Path]) -> int:
    """Pixels of the longer side at which all pictures fit, estimated from some of them."""
    some = paths[:: max(1, len(paths) // 8)]
    side = _LARGEST
    while side > _SMALLEST:
        mean = sum(len(_encode(path, side)) for path in some) / max(len(some), 1)
        if mean * len(paths) <= _BYTES * 0.9:  # the others may be richer
            break
        side = int(side * 0.85)
    return max(side, _SMALLEST)


def _choose(folder: Path, most: int) -> list[tuple[float, Path]]:
    paths = sorted(path for path in folder.glob("*.png") if _NUMBER.fullmatch(path.stem))
    if len(paths) > most:
        # The first and the last are always among them.
        paths = [paths[round(i * (len(paths) - 1) / (most - 1))] for i in range(most)]
    return [(float(path.stem), path) for path in paths]


def _encode(path: Path, side: int) -> str:
    data = io.BytesIO()
    picture = _opened(path) or Image.new("RGB", (8, 8), "gray")  # torn by a crash, say
    if max(picture.size) > side:
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    picture.save(data, "WEBP", quality=70, method=2)
    return "data:image/webp;base64," + base64.b64encode(data.getvalue()).decode()


def _opened(path: Path) -> Image.Image | None:
    """The picture in a PNG file; None if it is damaged, or too large to be a grid."""
    try:
        data = io.BytesIO(read_bytes(path, _LARGEST_FILE))
        with warnings.catch_warnings(action="ignore"), Image.open(data, formats=["PNG"]) as image:
            return image.convert("RGB") if math.prod(image.size) <= _MOST_PIXELS else None
    except Exception:  # Pillow lets through whatever a damaged file leads to
        return None
