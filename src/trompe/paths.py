"""Paths as people and configs give them."""

from pathlib import Path

from trompe.errors import UserError, show


def expand(path: object, key: str = "path") -> Path:
    """The file or folder that a path stands for: ``~`` is the home folder.

    Args:
        path: text, or a path.
        key: what the config calls it, for messages.

    Raises:
        UserError: if it is no path, or starts with ``~`` where there is no home folder.
    """
    if not isinstance(path, str | Path) or not str(path) or "\0" in str(path):
        raise UserError(f"{key}={show(path)} must be the path of a file or folder")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # no HOME, and nothing known of the user
        raise UserError(
            f"{key}={path}: there is no home folder that ~ could stand for: give the whole path, "
            "or set HOME"
        ) from error
