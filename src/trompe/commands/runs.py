"""List runs: filter, sort, by any config key or metric.

trompe runs
trompe runs model.loss==hinge 'fd_efflite0<200' sort=fd_efflite0
trompe runs outputs/sweeps columns=[model.optimizer.lr]
"""

import re

from omegaconf import DictConfig

from trompe.command import command, is_folder, quick_imports, split_words, with_folders
from trompe.words import quoted

# As scripts expect them to be asked for.
_FORMATS = {"--json": "format=json", "--csv": "format=csv"}


@command("runs")
def _runs(cfg: DictConfig) -> None:
    """List."""
    with quick_imports():
        from trompe.tasks.runs import list_runs

    list_runs(cfg)


def main(arguments: list[str]) -> None:
    """Folders and conditions may be given without a key: `trompe runs outputs 'kimg>100'`."""
    arguments = [_FORMATS.get(word, word) for word in arguments]
    flags, words = split_words(arguments)
    conditions = [w for w in words if re.search(r"[<>]|[=!]=", w) and not is_folder(w)]
    rest = [*flags, *(word for word in words if word not in conditions)]
    if conditions:
        rest.append(f"where=[{','.join(map(quoted, conditions))}]")
    _runs(with_folders(rest, "folders"))
