"""The trackers of a run that can work here."""

from dataclasses import replace

from trompe.errors import UserError
from trompe.extras import is_installed, need
from trompe.loggers.tracker import Tracker
from trompe.parts import make
from trompe.training.session import Session
from trompe.training.shown import all_tags, as_part, recorded_as


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
    shown = recorded_as(facts) if is_same else session.describe()
    is_older = shown is None
    if shown is None:  # it goes on under the name and with the steps that it has there
        name = as_part(facts.get("name", run.path.name))
        shown = replace(session.describe(), name=name)
    names = {"run_name": shown.name, "save_dir": str(run.path)}
    trackers: dict[str, Tracker] = {}
    for key, entry in session.config["logger"].items():
        # Given afterwards, these stay what they are: in a config they could name code.
        kind = make({**entry, "_partial_": True}, f"logger.{key}")
        tracker: Tracker = kind(**names, run_id=ids.get(key))
        tracker.sort_under(shown.group, all_tags(run.path, shown))
        if is_older:
            tracker.images_per_step = 1000
        if tracker.module is None or is_installed(tracker.module):
            trackers[key] = tracker
            continue
        line = need(tracker.module, f"logger=[{key}]")
        if tracker.is_required:
            raise UserError(line)
        if is_writer:
            print(f"{line} (this run goes on without it)")
    return trackers
