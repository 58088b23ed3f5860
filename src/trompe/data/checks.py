"""What a data set hands over, checked at the door: one line says what is wrong with it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor, uint8

from trompe.data.limits import Unreadable
from trompe.data.source import Source
from trompe.errors import UserError
from trompe.own_code import began_there, describe, is_own, name_of

# Mistakes in code; whatever else reading raises is a fault of the picture.
_MISTAKES = (
    *(AttributeError, LookupError, NameError, TypeError, NotImplementedError, AssertionError),
    *(ImportError, ZeroDivisionError),
)

_DEPTHS = ((), (1,), (3,), (4,))


def check_source(source: Any, data: Any) -> Source:
    """Refuse what `open_source` of `data` returned if it is no whole `Source`.

    Raises:
        UserError: naming what is missing or of a wrong kind.
    """
    if not isinstance(source, Source):
        raise UserError(
            f"data: {name_of(data)}.open_source returned {_kind(source)}: it must return a "
            f"{name_of(Source)}"
        )
    what, names = f"data: {name_of(source)}", getattr(source, "class_names", None)
    labels = getattr(source, "labels", None)
    if not isinstance(labels, np.ndarray) or labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise UserError(
            f"{what}.labels is {_kind(labels)}: it must be an int64 array with a number for each "
            "image; zeros if there are no classes"
        )
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(
            f"{what}.class_names is {_kind(names)}: it must be a list with a name for each class"
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(names):
        raise UserError(
            f"{what}.labels are numbers from {labels.min()} to {labels.max()}, but there are "
            f"{len(names)} class_names: a label is a place in that list"
        )
    if not isinstance(key := source.fingerprint(), str) or not key:
        raise UserError(
            f"{what}.fingerprint returned {_kind(key)}: it must return a text that is another "
            "whenever an image or a label is"
        )
    return source


def read(source: Source, index: int) -> Image.Image | np.ndarray:
    """Image `index` of a source.

    Raises:
        UserError: if that is no picture, or if code of the user's has a mistake.
        Unreadable: if its shape is none of a picture.
        Exception: whatever else reading raises: the image is corrupt.
    """
    what = f"data: {name_of(source)}.read({index})"
    try:
        picture: Any = source.read(index)
    except _MISTAKES as error:
        if is_own(source) and began_there(error):
            raise UserError(f"{what}: {describe(error)}") from error
        raise
    if isinstance(picture, Image.Image):
        return picture
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8:
        raise UserError(
            f"{what} returned {_kind(picture)}: it must return a Pillow image, or a uint8 array "
            "(H, W) or (H, W, C) with C 1, 3 or 4"
        )
    if not picture.size or picture.ndim not in (2, 3) or picture.shape[2:] not in _DEPTHS:
        raise Unreadable(f"{_kind(picture)}, not (H, W) or (H, W, C) with C 1, 3 or 4")
    return picture


def check_stream(data: Any, config: Mapping[str, Any], seed: int, batch_size: int) -> None:
    """Refuse data of the user's own whose first batch is not what they say that it is.

    Args:
        data: ready to be streamed.
        config: of the data, whose `resolution` and `channels` networks are made for.
        seed: the experiment's seed.
        batch_size: images in a global batch.

    Raises:
        UserError: naming the part of the batch that is wrong.
    """
    if not is_own(data):
        return
    what = f"data: a batch of {name_of(data)}"
    stream = data.stream(seed, batch_size)
    batch = stream.batch(0, slice(0, batch_size))
    if type(batch) is not data.batch_type:
        raise UserError(f"{what} is {_kind(batch)}: it must be a {name_of(data.batch_type)}")
    size = (config.get("channels"), config.get("resolution"), config.get("resolution"))
    for name, part in batch._asdict().items():
        if not isinstance(part, Tensor) or len(part) != batch_size:
            raise UserError(
                f"{what} has {name} that are {_kind(part)}: they must be a tensor with a row for "
                f"each of {batch_size} images"
            )
        wanted = tuple(known or found for known, found in zip(size, part.shape[1:], strict=False))
        if part.dim() == 4 and (part.dtype is not uint8 or tuple(part.shape[1:]) != wanted):
            raise UserError(
                f"{what} has {name} that are {_kind(part)}: they must be uint8 "
                f"{(batch_size, *wanted)}, by data.channels and data.resolution"
            )


def _kind(value: Any) -> str:
    """What something is, in words: ``float64 (8, 8, 3)``, ``a list``, ``None``."""
    if isinstance(value, np.ndarray | Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    return "None" if value is None else f"a {type(value).__name__}"
