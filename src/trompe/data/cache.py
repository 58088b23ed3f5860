"""Images are decoded once, and kept on disk keyed by the content they come from."""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from trompe.data.conversion import check_filter, to_array, to_picture
from trompe.data.source import Source
from trompe.errors import UserError
from trompe.files import CannotWrite, whole_folder

log = logging.getLogger(__name__)

# Raised whenever the same image gives other pixels, or the files change their layout.
_VERSION = 1
# Images per task of a thread: a task costs about as much as decoding one small image.
_TASK = 32
# Names listed in an error message.
_LISTED = 5


@dataclass(frozen=True)
class DecodedSet:
    """Images ready for use.

    Attributes:
        images: uint8 (N, C, H, W), in memory or mapped from the cache.
        labels: LongTensor (N,), indices into `class_names`.
        fingerprint: the cache's key: hash of the content, the size, the channels and the filter.
        class_names: a name for each label.
    """

    images: Tensor
    labels: Tensor
    fingerprint: str
    class_names: list[str]


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

    Raises:
        UserError: if an argument is invalid.
    """

    resolution: int
    channels: int
    resize_filter: str = "lanczos"
    on_corrupt: str = "error"
    allow_upscale: bool = False
    resolution_key: str = "data.resolution"

    def __post_init__(self) -> None:
        if self.resolution < 1:
            raise UserError(f"{self.resolution_key}={self.resolution} must be at least 1 pixel")
        if self.channels not in (1, 3):
            raise UserError(f"data.channels={self.channels} must be 1 (gray) or 3 (RGB)")
        if self.on_corrupt not in ("error", "skip"):
            raise UserError(f"data.on_corrupt={self.on_corrupt} must be error or skip")
        check_filter(self.resize_filter)

    def key(self, content: str) -> str:
        """The cache's key for content with this hash."""
        parts = [_VERSION, content, self.resolution, self.channels, self.resize_filter]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def decode(
    source: Source, decoding: Decoding, cache_dir: Path | str, memory_limit_mb: float = 512
) -> DecodedSet:
    """The images of `source`, decoded now or already in ``<cache_dir>/images/<key>``.

    The folder is there whole or not at all; of processes that decode at the same time, all use the
    folder of the first to finish.

    Args:
        source: the encoded images.
        decoding: how to decode.
        cache_dir: ``~`` is the home folder.
        memory_limit_mb: sets of fewer MiB than this are read into memory, others are mapped.

    Raises:
        UserError: if images are corrupt or too small and `decoding` does not allow it, if all are
            corrupt, or if the cache cannot be written. Nothing is left behind.
    """
    key = decoding.key(source.fingerprint())
    folder = Path(cache_dir).expanduser() / "images" / key
    meta = _read_meta(folder)
    if meta is None:
        try:
            meta = _write(source, folder, decoding)
        except CannotWrite as error:
            meta = _read_meta(folder)  # if another process was first: its images are the same
            if meta is None:
                raise UserError(
                    f"cannot write the decoded images to {folder.parent}: {error.reason}; "
                    "make room or set paths.cache_dir to another folder"
                ) from error
    _check(meta, source.location, decoding)
    if meta["skipped"]:
        log.warning("left out: %s", _corrupt_message(meta, source.location))
    mapped = np.load(folder / "images.npy", mmap_mode="c")
    in_memory = mapped.nbytes < memory_limit_mb * 2**20
    images = np.load(folder / "images.npy") if in_memory else mapped
    labels = np.load(folder / "labels.npy")
    return DecodedSet(torch.from_numpy(images), torch.from_numpy(labels), key, meta["class_names"])


def _read_meta(folder: Path) -> dict[str, Any] | None:
    """The meta data of a whole cache, or None if it is missing or damaged."""
    if not folder.is_dir():
        return None
    try:
        meta: dict[str, Any] = json.loads((folder / "meta.json").read_text())
        images = np.load(folder / "images.npy", mmap_mode="r")
        labels = np.load(folder / "labels.npy")
        if list(images.shape) == meta["shape"] and len(labels) == len(images):
            return meta
    except (OSError, ValueError, KeyError, EOFError):
        pass
    log.warning("the decoded images in %s are damaged and will be decoded again", folder)
    shutil.rmtree(folder, ignore_errors=True)
    return None


def _write(source: Source, folder: Path, decoding: Decoding) -> dict[str, Any]:
    """Decode everything into `folder`; returns its meta data."""
    with whole_folder(folder) as temporary:
        with open(temporary / "images.npy", "wb") as file:
            shape, kept, meta = _write_images(file, source, decoding)
        _check(meta, source.location, decoding)
        np.save(temporary / "labels.npy", source.labels[kept].astype(np.int64))
        meta |= {"shape": shape, "class_names": source.class_names, "decoding": vars(decoding)}
        (temporary / "meta.json").write_text(json.dumps(meta, indent=1))
    return meta


def _write_images(
    file: IO[bytes], source: Source, decoding: Decoding
) -> tuple[list[int], list[int], dict[str, Any]]:
    """Write an ``.npy`` file image by image, with plain writes, which notice a full disk.

    Returns:
        The array's shape, the indices of the images in it, and what was found on the way.
    """
    shape = [len(source), decoding.channels, decoding.resolution, decoding.resolution]
    _write_header(file, shape)
    kept: list[int] = []
    skipped: list[str] = []
    small: list[str] = []
    for index, array, is_small in _decoded(source, decoding):
        if array is None:
            skipped.append(source.name(index))
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
        "small": len(small),
        "small_first": small[:_LISTED],
    }
    return shape, kept, meta


def _write_header(file: IO[bytes], shape: list[int]) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": tuple(shape)}
    np.lib.format.write_array_header_1_0(file, header)


def _decoded(source: Source, decoding: Decoding) -> Iterator[tuple[int, np.ndarray | None, bool]]:
    """(index, image or None if corrupt, whether it is too small) of every image, in order."""
    filter_name = decoding.resize_filter

    def decode_one(index: int) -> tuple[int, np.ndarray | None, bool]:
        try:
            picture = to_picture(source.read(index))
            array = to_array(picture, decoding.resolution, decoding.channels, filter_name)
        except MemoryError:
            raise
        except Exception:
            # Decoders raise all kinds of errors on corrupt bytes.
            return index, None, False
        return index, array, min(picture.size) < decoding.resolution

    def decode_some(indices: range) -> list[tuple[int, np.ndarray | None, bool]]:
        return [decode_one(index) for index in indices]

    count = len(source)
    workers = os.cpu_count() or 1
    tasks = (range(i, min(i + _TASK, count)) for i in range(0, count, _TASK))
    bar = tqdm(total=count, desc="decoding images", unit="image", disable=None, delay=2)
    with bar, ThreadPoolExecutor(workers) as pool:
        # A few tasks at a time, so that what is decoded does not pile up in memory.
        while some := list(islice(tasks, 4 * workers)):
            for results in pool.map(decode_some, some):
                yield from results
                bar.update(len(results))


def _check(meta: dict[str, Any], location: str, decoding: Decoding) -> None:
    """Refuse what `decoding` does not allow, even in a cache written with other settings."""
    if len(meta["skipped"]) == meta["total"]:
        raise UserError(_corrupt_message(meta, location))
    if meta["skipped"] and decoding.on_corrupt == "error":
        raise UserError(
            f"{_corrupt_message(meta, location)}; set data.on_corrupt=skip to leave them out"
        )
    if meta["small"] and not decoding.allow_upscale:
        raise UserError(
            f"{meta['small']} of {meta['total']} images of {location} are smaller than "
            f"{decoding.resolution} pixels ({_listed(meta['small_first'], meta['small'])}); "
            f"set data.allow_upscale=true or a smaller {decoding.resolution_key}"
        )


def _corrupt_message(meta: dict[str, Any], location: str) -> str:
    count = len(meta["skipped"])
    return (
        f"{count} of {meta['total']} images of {location} cannot be decoded: "
        f"{_listed(meta['skipped'][:_LISTED], count)}"
    )


def _listed(names: list[str], count: int) -> str:
    return ", ".join(names) + (", ..." if count > len(names) else "")
