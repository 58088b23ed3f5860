"""List runs: filter, sort, by any config key or metric."""

import re

from omegaconf import DictConfig

from trompe.command import command, quick_imports, with_folders
from trompe.runs.run_folder import quoted


@command("runs")
def _runs(cfg: DictConfig) -> None:
    """List."""
    with quick_imports():
        from trompe.tasks.runs import list_runs

    list_runs(cfg)


def main(arguments: list[str]) -> None:
    """Folders and conditions may be given without a key: `trompe runs outputs 'kimg>100'`."""
    conditions = [a for a in arguments if re.search(r"[<>]|[=!]=", a)]
    rest = [a for a in arguments if a not in conditions]
    if conditions:
        rest.append(f"where=[{','.join(map(quoted, conditions))}]")
    _runs(with_folders(rest, "folders"))
