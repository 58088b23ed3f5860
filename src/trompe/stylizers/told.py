"""How a picture was made, told within its file: what `only_missing=true` recognizes it by."""

import hashlib
import json
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin

from trompe import __version__
from trompe.errors import UserError

_KEY = "trompe"


def digest(*paths: Path) -> str:
    """The first file's name and the beginning of the SHA-256 of all: not where they lie."""
    found = hashlib.sha256()
    for path in paths:
        found.update(path.read_bytes())
    return f"{paths[0].name} {found.hexdigest()[:12]}"


def as_options(settings: dict[str, Any], suffix: str) -> dict[str, Any]:
    """What Pillow's `save` needs to write the settings into a PNG or a GIF."""
    text = json.dumps({"version": __version__, **settings}, sort_keys=True)
    if suffix == ".gif":
        return {"comment": text.encode()}
    info = PngImagePlugin.PngInfo()
    info.add_text(_KEY, text)
    return {"pnginfo": info}


def is_made(path: Path, settings: dict[str, Any], overwrite: bool) -> bool:
    """Whether the picture is there, made with these settings.

    Args:
        path: of the picture.
        settings: that it should be made with.
        overwrite: whether one that was made in another way may be replaced.

    Raises:
        UserError: if it may not.
    """
    if not path.exists():
        return False
    try:
        _check(path, settings)
    except UserError:
        if overwrite:
            return False
        raise
    return True


def _check(path: Path, settings: dict[str, Any]) -> None:
    whole = path.suffix != ".gif" or path.read_bytes()[-1:] == b";"  # which ends the file
    try:
        with Image.open(path) as picture:
            told = json.loads(picture.info.get("comment" if path.suffix == ".gif" else _KEY, "{}"))
            for frame in range(getattr(picture, "n_frames", 1)):
                picture.seek(frame)
                picture.load()
    except (OSError, ValueError, SyntaxError, RecursionError, IndexError, EOFError):
        told = {}
    if not isinstance(told, dict) or not told or not whole:
        raise UserError(
            f"{path} is there and does not say how it was made: choose another out=, or replace it "
            "with overwrite=true"
        )
    now = json.loads(json.dumps(settings))
    for name, value in now.items():
        if told.get(name) != value:
            raise UserError(
                f"{path} was made with {name}={told.get(name)}, not {value}: choose another out=, "
                "or replace it with overwrite=true"
            )
