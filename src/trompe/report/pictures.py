"""Sample grids small enough for one page."""

import base64
import io
import math
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from trompe.report.collect import Entry
from trompe.runs.reading import read_bytes

_BYTES = 10_000_000  # of all pictures, as text; a page stays below 15 MB
_LARGEST_FILE = 64_000_000  # bytes
_MOST_PIXELS = 64_000_000
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_LARGEST, _SMALLEST = 768, 64  # pixels, of a grid's longer side


class Pictures(NamedTuple):
    """Pictures as data URLs.

    Args:
        grids: of every run, (kimg, picture), from 0 on.
        reals: grids of real images, each once.
        credits: of each of these, whose they are, or nothing.
        real: of every run, which of `reals` belongs beside its grids; None if it has none.
    """

    grids: list[list[tuple[float, str]]]
    reals: list[str]
    credits: list[str]
    real: list[int | None]


def embed_pictures(entries: Sequence[Entry], most: int = 12) -> Pictures:
    """Up to `most` grids of every run, evenly over its kimg, and its real images.

    The more there are, the smaller they are drawn, then the fewer.
    """
    folders = [entry.run.path / "samples" for entry in entries]
    for count in (most, most // 2, most // 4, 2):
        chosen = [_choose(folder, max(count, 2)) for folder in folders]
        side, fits = _side([path for grids in chosen for _, path in grids])
        if fits:
            break
    grids = [[(kimg, _encode(path, side)) for kimg, path in grids] for grids in chosen]
    reals: dict[str, int] = {}
    real: list[int | None] = []
    credits: list[str] = []
    for entry, folder in zip(entries, folders, strict=True):
        picture = _opened(folder / "real.png")
        url = None if picture is None else _encoded(picture, side)
        if url is not None and url not in reals:
            credits.append(entry.facts.get("data_credits") or "")
        real.append(None if url is None else reals.setdefault(url, len(reals)))
    return Pictures(grids, list(reals), credits, real)


def _side(paths: Sequence[Path]) -> tuple[int, bool]:
    """Pixels of the longer side at which all pictures fit, estimated from some of them.

    And whether they do: they get no smaller than can be seen.
    """
    some = paths[:: max(1, len(paths) // 8)]
    side = _LARGEST
    while True:
        mean = sum(len(_encode(path, side)) for path in some) / max(len(some), 1)
        if mean * len(paths) <= _BYTES * 0.9:  # the others may be richer
            return side, True
        if side == _SMALLEST:
            return side, False
        side = max(int(side * 0.85), _SMALLEST)


def _choose(folder: Path, most: int) -> list[tuple[float, Path]]:
    paths = sorted(path for path in folder.glob("*.png") if _NUMBER.fullmatch(path.stem))
    if len(paths) > most:
        # The first and the last are always among them.
        paths = [paths[round(i * (len(paths) - 1) / (most - 1))] for i in range(most)]
    return [(float(path.stem), path) for path in paths]


def _encode(path: Path, side: int) -> str:
    return _encoded(_opened(path) or Image.new("RGB", (8, 8), "gray"), side)  # torn by a crash, say


def _encoded(picture: Image.Image, side: int) -> str:
    data = io.BytesIO()
    if max(picture.size) > side:
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    picture.save(data, "WEBP", quality=80, method=2)
    return "data:image/webp;base64," + base64.b64encode(data.getvalue()).decode()


def _opened(path: Path) -> Image.Image | None:
    """The picture in a PNG file; None if it is damaged, or too large to be a grid."""
    try:
        data = io.BytesIO(read_bytes(path, _LARGEST_FILE))
        with warnings.catch_warnings(action="ignore"), Image.open(data, formats=["PNG"]) as image:
            return image.convert("RGB") if math.prod(image.size) <= _MOST_PIXELS else None
    except Exception:  # Pillow lets through whatever a damaged file leads to
        return None
