"""The note task: what a user says of a run, in its folder."""

from omegaconf import DictConfig

from trompe.errors import UserError, show
from trompe.runs.naming import find_run
from trompe.runs.notes import add_note, read_notes


def note(cfg: DictConfig) -> None:
    """Add `cfg.text` to the notes of a run, or print them if it is null.

    Raises:
        UserError: if there is no such run, or its notes cannot be read or written.
    """
    run = find_run(cfg.run, cfg.paths.output_dir)
    if cfg.text is None:
        print(read_notes(run.path) or f"no notes on {run.path}: trompe note {run.path} TEXT")
        return
    text = str(cfg.text).strip()
    if not text:
        raise UserError(f"text={show(cfg.text)} says nothing")
    add_note(run.path, text)
    print(run.path / "notes.md")
