"""The compare task: runs in, one page out."""

import os
from pathlib import Path

from omegaconf import DictConfig

from trompe.errors import UserError
from trompe.paths import expand
from trompe.report.collect import read_entries
from trompe.report.page import write_page
from trompe.runs.naming import find_run
from trompe.sweeps.storage import OWN_FILES
from trompe.sweeps.sweep_folder import SweepFolder


def compare(cfg: DictConfig) -> Path:
    """Write the page that compares `cfg.runs`.

    Raises:
        UserError: if there is nothing to compare, or the page cannot be written.
    """
    folders = [cfg.runs] if isinstance(cfg.runs, str) else list(cfg.runs)
    if not folders:
        raise UserError("give the folders of runs, or of a sweep: trompe compare FOLDER ...")
    outputs = cfg.paths.output_dir
    folders = [
        f if expand(f, "runs").is_dir() else find_run(f, outputs, "runs").path for f in folders
    ]
    entries = read_entries(folders)
    sweep = SweepFolder(expand(folders[0], "runs"))
    study = None
    if len(folders) == 1 and os.path.lexists(sweep.path / "sweep.yaml"):
        if cfg.trust is True or sweep.read_description().get("storage") in OWN_FILES:
            study = sweep.load_study()
        else:
            print(f"the study of {sweep.path} is in a database: set trust=true to show it as well")
    parent = sweep.path if study is not None else expand(cfg.paths.output_dir, "paths.output_dir")
    target = expand(cfg.out, "out") if cfg.out else parent / "compare.html"
    title = cfg.title or ", ".join(Path(folder).name for folder in folders[:4])
    write_page(target.absolute(), entries, study, title)
    size = target.stat().st_size / 1e6
    bad = sum(entry.problem is not None for entry in entries)
    runs = f"{len(entries)} runs" + (f" ({bad} unreadable)" if bad else "")
    print(f"{runs}: {target.absolute()} ({size:.1f} MB)")
    return target
