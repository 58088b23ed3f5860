"""The dashboard task: Trackio on the project's store."""

import contextlib
import io
import os
import time
import webbrowser
from urllib.parse import quote

from omegaconf import DictConfig

from trompe.errors import UserError
from trompe.extras import require
from trompe.paths import expand


def show(cfg: DictConfig) -> None:
    """Run Trackio's server until Ctrl-C, its curves over kimg.

    Raises:
        UserError: if Trackio is not installed, or nothing was recorded in the store.
    """
    require("trackio", "dashboard")
    store = expand(cfg.paths.store, "paths.store").absolute()
    if not list(store.glob("*.db")):
        raise UserError(
            f"there are no runs in {store}: train with logger=[local], or set paths.store"
        )
    from trompe.loggers.local import trackio_in

    with contextlib.redirect_stdout(io.StringIO()):  # its addresses are not over kimg
        _, root, *_, writable = trackio_in(store).show(
            project=quote(str(cfg.project)),
            host=str(cfg.host),
            open_browser=False,
            block_thread=False,
        )
    address = f"{root.rstrip('/')}/?project={quote(str(cfg.project))}&x_axis=kimg"
    print(f"dashboard: {address}  (Ctrl-C ends it)")
    print(f"  to rename and delete runs, for you alone: {writable}&x_axis=kimg", flush=True)
    webbrowser.open(f"{writable}&x_axis=kimg")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        # Its threads would wait for browsers that are still connected: nothing is lost by not.
        os._exit(0)
