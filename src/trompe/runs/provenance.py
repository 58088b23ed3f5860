"""Where a run came from: command, code, packages."""

import contextlib
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import trompe
from trompe.masking import mask


def checkout() -> Path:
    """The folder of the git repository that the package is in, if it is in one."""
    return Path(trompe.__file__).resolve().parents[2]


def describe_code() -> dict[str, Any]:
    """The package's version and, in a git checkout, its commit and uncommitted changes.

    Where secrets in the changes were masked, ``is_masked`` says so: they do not apply any more.
    """
    root = checkout()
    commit = _git(root, "rev-parse", "HEAD")
    diff = (_git(root, "diff", "HEAD") or "") if commit else None
    masked = mask(diff)
    return {
        "trompe": trompe.__version__,
        "commit": commit.strip() if commit else None,
        "dirty_diff": masked,
        **({"is_masked": True} if masked != diff else {}),
    }


def describe_packages() -> dict[str, str]:
    """Python's version and that of every package trompe or one of its extras depends on."""
    versions = {"python": platform.python_version()}
    names = [
        re.split("[<>=!~ [;]", requirement)[0]
        for requirement in metadata.requires("trompe") or []
        if "extra == 'dev'" not in requirement.replace('"', "'")
    ]
    for name in sorted({*names} - {"trompe"}):
        with contextlib.suppress(metadata.PackageNotFoundError):  # of an extra
            versions[name] = metadata.version(name)
    return versions


def command_line() -> list[str]:
    """The command as the user gave it, with its secrets masked."""
    command: list[str] = mask(["trompe", *sys.argv[1:]])
    return command


def _git(root: Path, *arguments: str) -> str | None:
    try:
        # Only a checkout of this project counts, not whatever repository surrounds an install.
        if not (root / ".git").exists():
            return None
        return subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            errors="replace",  # a file of another encoding must not stop training
            check=True,
            timeout=20,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
