"""Finding runs below a folder."""

from pathlib import Path

from trompe.runs.run_folder import RunFolder


def find_runs(path: Path) -> list[RunFolder]:
    """Every run folder below `path`, or at it, oldest first.

    A folder whose name begins with a dot is still being made, or is not a run.
    """
    found = {}
    for file in path.rglob("run.json"):
        inner = file.parent.relative_to(path).parts
        if not any(part.startswith(".") for part in inner):
            run = RunFolder(file.parent)
            sessions = run.read_facts().get("sessions") or [{}]
            found[run] = (sessions[0].get("started", ""), str(run.path))
    return sorted(found, key=lambda run: found[run])
