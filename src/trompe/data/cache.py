"""Images are decoded once, and kept on disk keyed by the content they come from."""

import io
import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch import Tensor

from trompe.cache_folder import writing
from trompe.data.decoding import Decoding, check, corrupt_message, write_images
from trompe.data.source import Source
from trompe.errors import UserError
from trompe.files import CannotWrite, whole_folder
from trompe.paths import expand

log = logging.getLogger(__name__)


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


def decode(
    source: Source, decoding: Decoding, cache_dir: Path | str, memory_limit_mb: float = 512
) -> DecodedSet:
    """The images of `source`, decoded now or already in ``<cache_dir>/images/<key>``.

    The folder is there whole or not at all; of processes that decode at the same time, all use the
    folder of the first to finish. If it cannot be written, a set that fits in memory is kept there.

    Args:
        source: the encoded images.
        decoding: how to decode.
        cache_dir: ``~`` is the home folder.
        memory_limit_mb: sets of fewer MiB than this are read into memory, others are mapped.

    Raises:
        UserError: if images are corrupt or too small and `decoding` does not allow it, if all are
            corrupt, or if the cache cannot be written and the set is too large for the memory.
            Nothing is left behind.
    """
    key = decoding.key(source.fingerprint())
    cache_dir = expand(cache_dir, "paths.cache_dir")
    folder = cache_dir / "images" / key
    meta = _read_meta(folder)
    if meta is None:
        try:
            with writing(cache_dir):
                meta = _write(source, folder, decoding)
        except CannotWrite as error:
            meta = _read_meta(folder)  # if another process was first: its images are the same
            if meta is None:
                return _in_memory(source, decoding, key, memory_limit_mb, error)
    check(meta, source.location, decoding)
    _tell_skipped(meta, source.location)
    mapped = np.load(folder / "images.npy", mmap_mode="c")
    in_memory = mapped.nbytes < memory_limit_mb * 2**20
    images = np.load(folder / "images.npy") if in_memory else mapped
    return _ready(images, np.load(folder / "labels.npy"), key, meta)


def _ready(images: np.ndarray, labels: np.ndarray, key: str, meta: dict[str, Any]) -> DecodedSet:
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
            labels, meta = write_images(file, source, decoding)
        np.save(temporary / "labels.npy", labels)
        (temporary / "meta.json").write_text(json.dumps(meta, indent=1))
    return meta


def _in_memory(
    source: Source, decoding: Decoding, key: str, memory_limit_mb: float, error: CannotWrite
) -> DecodedSet:
    """The images where there is no cache.

    Raises:
        UserError: if they are too many.
    """
    cannot = f"cannot write the decoded images to {error.path.parent}: {error.reason}"
    needed = len(source) * decoding.channels * decoding.resolution**2
    if needed >= memory_limit_mb * 2**20:
        raise UserError(f"{cannot}; make room or set paths.cache_dir to another folder") from error
    _warn(f"{cannot}; they are kept in memory, and will be decoded again the next time")
    file = io.BytesIO()
    labels, meta = write_images(file, source, decoding)
    _tell_skipped(meta, source.location)
    file.seek(0)
    return _ready(np.load(file), labels, key, meta)


def _tell_skipped(meta: dict[str, Any], location: str) -> None:
    if meta["skipped"]:
        _warn(f"left out: {corrupt_message(meta, location)}")


@rank_zero_only
def _warn(message: str) -> None:
    log.warning("%s", message)
