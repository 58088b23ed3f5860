"""Sample grids small enough for one page."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from trompe.report.collect import Entry

_BYTES = 8_000_000  # of all pictures, as text; with Plotly's 5 MB a page stays below 15 MB
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
    paths = sorted(folder.glob("[0-9]*.png"))
    if len(paths) > most:
        # The first and the last are always among them.
        paths = [paths[round(i * (len(paths) - 1) / (most - 1))] for i in range(most)]
    return [(float(path.stem), path) for path in paths]


def _encode(path: Path, side: int) -> str:
    data = io.BytesIO()
    try:
        with Image.open(path) as image:
            picture = image.convert("RGB")
    except OSError:
        picture = Image.new("RGB", (8, 8), "gray")  # torn by a crash: shown as missing
    if max(picture.size) > side:
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    picture.save(data, "WEBP", quality=70, method=2)
    return "data:image/webp;base64," + base64.b64encode(data.getvalue()).decode()
