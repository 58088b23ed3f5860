"""The dashboard task: Trackio on the project's store."""

import os
import shutil
import sys
from pathlib import Path

from omegaconf import DictConfig

from trompe.errors import UserError
from trompe.extras import require
from trompe.paths import expand


def show(cfg: DictConfig) -> None:
    """Become Trackio's server, which runs until Ctrl-C.

    Raises:
        UserError: if Trackio is not installed, or nothing was recorded in the store.
    """
    require("trackio", "dashboard")
    store = expand(cfg.paths.store, "paths.store").absolute()
    if not list(store.glob("*.db")):
        raise UserError(
            f"there are no runs in {store}: train with logger=[local], or set paths.store"
        )
    beside = Path(sys.executable).with_name("trackio")
    trackio = str(beside) if beside.exists() else shutil.which("trackio")
    if trackio is None:
        raise UserError("the command `trackio` is missing: reinstall the package trackio")
    os.environ["TRACKIO_DIR"] = str(store)
    arguments = ["show", "--project", str(cfg.project), "--host", str(cfg.host)]
    sys.stdout.flush()
    os.execv(trackio, ["trackio", *arguments])
