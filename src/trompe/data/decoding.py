"""A source's images as one array on a file: how they are decoded, and what was wrong with some."""

import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any, NamedTuple

import numpy as np

from trompe.bars import Bar
from trompe.data.checks import read
from trompe.data.conversion import check_filter, to_array, to_picture
from trompe.data.limits import (
    LISTED,
    MAX_PIXELS,
    Unreadable,
    cannot_be_decoded,
    explained,
    listed,
)
from trompe.data.source import Source
from trompe.errors import UserError

# Raised whenever the same image gives other pixels, or the files change their layout.
_VERSION = 1
LARGEST_SIDE = 16384  # pixels of a side: 0.75 GiB for each image
# Images per task of a thread: a task costs about as much as decoding one small image.
_TASK = 32


@dataclass(frozen=True)
class Decoding:
    """How images are decoded.

    Attributes:
        resolution: side in pixels; images are cropped to their center square.
        channels: 1 (gray) or 3 (RGB).
        resize_filter: name of Pillow's filter.
        on_corrupt: ``"error"``, or ``"skip"`` to leave out images that cannot be decoded.
        allow_upscale: whether images may be smaller than `resolution`.
        resolution_key: what the config calls the resolution, for error messages.
        max_pixels: of a picture, which the source keeps to.
        corrupt_key: what the config calls `on_corrupt`, for error messages; None if it has none.

    Raises:
        UserError: if an argument is invalid.
    """

    resolution: int
    channels: int
    resize_filter: str = "lanczos"
    on_corrupt: str = "error"
    allow_upscale: bool = False
    resolution_key: str = "data.resolution"
    max_pixels: int = MAX_PIXELS
    corrupt_key: str | None = "data.on_corrupt"

    def __post_init__(self) -> None:
        if self.resolution < 1:
            raise UserError(f"{self.resolution_key}={self.resolution} must be at least 1 pixel")
        if self.resolution > LARGEST_SIDE:
            raise UserError(
                f"{self.resolution_key}={self.resolution} must be at most {LARGEST_SIDE} pixels"
            )
        if self.channels not in (1, 3):
            raise UserError(f"data.channels={self.channels} must be 1 (gray) or 3 (RGB)")
        if self.on_corrupt not in ("error", "skip"):
            raise UserError(f"data.on_corrupt={self.on_corrupt} must be error or skip")
        check_filter(self.resize_filter)

    def key(self, content: str) -> str:
        """The cache's key for content with this hash."""
        parts = [_VERSION, content, self.resolution, self.channels, self.resize_filter]
        if self.max_pixels != MAX_PIXELS:  # which decides on what is skipped
            parts.append(self.max_pixels)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


class _Decoded(NamedTuple):
    """An image (C, R, R), or why there is none; and whether it is too small."""

    number: int
    array: np.ndarray | None
    reason: str = ""
    is_small: bool = False


def write_images(
    file: IO[bytes], source: Source, decoding: Decoding
) -> tuple[np.ndarray, dict[str, Any]]:
    """Write an ``.npy`` file image by image, with plain writes, which notice a full disk.

    Returns:
        The labels of the images in it, and what was found on the way.

    Raises:
        UserError: see `check`.
    """
    shape = [len(source), decoding.channels, decoding.resolution, decoding.resolution]
    _write_header(file, shape)
    kept: list[int] = []
    skipped: list[str] = []
    reasons: list[str] = []
    small: list[str] = []
    for index, array, reason, is_small in _decoded(source, decoding):
        if array is None:
            skipped.append(source.name(index))
            reasons.append(reason)
            continue
        kept.append(index)
        file.write(array.tobytes())
        if is_small:
            small.append(source.name(index))
    shape[0] = len(kept)
    # NumPy pads headers so that the first axis can change afterwards.
    file.seek(0)
    _write_header(file, shape)
    meta = {
        "total": len(source),
        "skipped": skipped,
        "reasons": reasons,
        "small": len(small),
        "small_first": small[: LISTED + 1],
        "shape": shape,
        "class_names": source.class_names,
        "decoding": vars(decoding),
    }
    check(meta, source.location, decoding)
    return source.labels[kept].astype(np.int64), meta


def check(meta: dict[str, Any], location: str, decoding: Decoding) -> None:
    """Refuse what `decoding` does not allow, even in a cache written with other settings.

    Raises:
        UserError: if images are corrupt or too small, or all are corrupt.
    """
    if len(meta["skipped"]) == meta["total"]:
        raise UserError(corrupt_message(meta, location))
    if meta["skipped"] and decoding.on_corrupt == "error":
        key = decoding.corrupt_key
        advice = f"; set {key}=skip to leave them out" if key else ""
        raise UserError(corrupt_message(meta, location) + advice)
    if meta["small"] and not decoding.allow_upscale:
        raise UserError(
            f"{meta['small']} of {meta['total']} images of {location} are smaller than "
            f"{decoding.resolution} pixels ({listed(meta['small_first'])}); "
            f"set data.allow_upscale=true or a smaller {decoding.resolution_key}"
        )


def corrupt_message(meta: dict[str, Any], location: str) -> str:
    """Which images were left out, and why."""
    # Versions before 2026-11-26 kept no reasons.
    reasons = meta.get("reasons", [])
    return cannot_be_decoded(location, meta["total"], meta["skipped"], reasons)


def _write_header(file: IO[bytes], shape: list[int]) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": tuple(shape)}
    np.lib.format.write_array_header_1_0(file, header)


def _decoded(source: Source, decoding: Decoding) -> Iterator[_Decoded]:
    """Every image, in order."""

    def decode_one(index: int) -> _Decoded:
        try:
            with explained():
                picture = to_picture(read(source, index))
                array = to_array(
                    picture, decoding.resolution, decoding.channels, decoding.resize_filter
                )
        except Unreadable as error:
            return _Decoded(index, None, str(error))
        return _Decoded(index, array, is_small=min(picture.size) < decoding.resolution)

    def decode_some(indices: range) -> list[_Decoded]:
        return [decode_one(index) for index in indices]

    count = len(source)
    workers = os.cpu_count() or 1
    tasks = (range(i, min(i + _TASK, count)) for i in range(0, count, _TASK))
    bar = Bar(total=count, desc="decoding images", unit="image", delay=2)
    with bar, ThreadPoolExecutor(workers) as pool:
        # A few tasks at a time, so that what is decoded does not pile up in memory.
        while some := list(islice(tasks, 4 * workers)):
            for results in pool.map(decode_some, some):
                yield from results
                bar.update(len(results))
