"""The trackers of a run that can work here."""

from hydra.utils import instantiate

from trompe.engine.hardware import process_rank
from trompe.errors import UserError
from trompe.extras import is_installed, need
from trompe.loggers.tracker import Tracker
from trompe.training.session import Session


def make_trackers(session: Session) -> dict[str, Tracker]:
    """The trackers that are configured and can work here, not opened yet.

    Raises:
        UserError: if one needs a package that is missing; where it is not required, a line is
            printed and it is left out.
    """
    run = session.run
    ids = run.read_facts().get("trackers", {}) if session.resumed else {}
    names = {"run_name": run.path.name, "save_dir": str(run.path)}
    trackers: dict[str, Tracker] = {}
    for key, entry in session.config["logger"].items():
        tracker: Tracker = instantiate(entry, **names, run_id=ids.get(key))
        if tracker.module is None or is_installed(tracker.module):
            trackers[key] = tracker
            continue
        line = need(tracker.module, f"logger=[{key}]")
        if tracker.is_required:
            raise UserError(line)
        if process_rank() == 0:
            print(f"{line} (this run goes on without it)")
    return trackers
