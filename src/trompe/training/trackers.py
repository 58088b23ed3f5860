"""The trackers of a run that can work here."""

from trompe.errors import UserError
from trompe.extras import is_installed, need
from trompe.loggers.tracker import Tracker
from trompe.parts import make
from trompe.training.session import Session


def make_trackers(session: Session, is_writer: bool) -> dict[str, Tracker]:
    """The trackers that are configured and can work here, not opened yet.

    Raises:
        UserError: if one needs a package that is missing; where it is not required, a line is
            printed by the process that is the writer, and it is left out.
    """
    run = session.run
    is_same = session.resumed and "copy_of" not in run.identity()
    facts = run.read_facts() if is_same else {}
    ids = facts.get("trackers", {})
    names = {"run_name": facts.get("name", run.path.name), "save_dir": str(run.path)}
    trackers: dict[str, Tracker] = {}
    for key, entry in session.config["logger"].items():
        # Given afterwards, these stay what they are: in a config they could name code.
        kind = make({**entry, "_partial_": True}, f"logger.{key}")
        tracker: Tracker = kind(**names, run_id=ids.get(key))
        if tracker.module is None or is_installed(tracker.module):
            trackers[key] = tracker
            continue
        line = need(tracker.module, f"logger=[{key}]")
        if tracker.is_required:
            raise UserError(line)
        if is_writer:
            print(f"{line} (this run goes on without it)")
    return trackers
