"""The compare task: runs in, one page out."""

from pathlib import Path

from omegaconf import DictConfig

from trompe.errors import UserError
from trompe.report.collect import read_entries
from trompe.report.page import write_page
from trompe.sweeps.sweep_folder import SweepFolder


def compare(cfg: DictConfig) -> Path:
    """Write the page that compares `cfg.runs`.

    Raises:
        UserError: if there is nothing to compare, or the page cannot be written.
    """
    folders = [cfg.runs] if isinstance(cfg.runs, str) else list(cfg.runs)
    if not folders:
        raise UserError("give the folders of runs, or of a sweep: trompe compare FOLDER ...")
    entries = read_entries(folders)
    sweep = SweepFolder(Path(folders[0]).expanduser())
    study = None
    if len(folders) == 1 and (sweep.path / "sweep.yaml").is_file():
        study = sweep.load_study()
    parent = sweep.path if study is not None else Path(cfg.paths.output_dir).expanduser()
    target = Path(cfg.out).expanduser() if cfg.out else parent / "compare.html"
    title = cfg.title or ", ".join(Path(folder).name for folder in folders[:4])
    write_page(target.absolute(), entries, study, title)
    size = target.stat().st_size / 1e6
    print(f"{len(entries)} runs: {target.absolute()} ({size:.1f} MB)")
    return target
