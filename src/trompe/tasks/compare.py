"""The compare task: runs in, one page out."""

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from trompe.errors import UserError, check_count
from trompe.extras import require
from trompe.paths import expand
from trompe.report.collect import read_entries
from trompe.report.page import write_page
from trompe.report.page_data import page_data
from trompe.report.serve import Latest, look_at, make_server
from trompe.runs.naming import find_run

if TYPE_CHECKING:  # an extra
    import optuna


def compare(cfg: DictConfig) -> None:
    """Write the page that compares `cfg.runs`, or serve it until Ctrl-C.

    Raises:
        UserError: if there is nothing to compare, or the page cannot be written or served.
    """
    folders = _find_folders(cfg)
    if cfg.serve and cfg.out:
        raise UserError("give out= for a file, or --serve for a page that follows: not both")
    check_count("port", cfg.port, least=0)
    sweep = folders[0] if len(folders) == 1 and _is_sweep(folders[0]) else None
    if sweep is not None:
        require("optuna", "compare of a sweep")
    title = cfg.title or ", ".join(folder.name for folder in folders[:4])
    if cfg.serve:
        _serve(folders, sweep, cfg, title)
        return
    entries = read_entries(folders)
    study = None if sweep is None else _study_of(sweep, cfg.trust is True)
    parent = expand(cfg.paths.output_dir, "paths.output_dir") if study is None else folders[0]
    target = (expand(cfg.out, "out") if cfg.out else parent / "compare.html").absolute()
    write_page(target, entries, study, title)
    bad = sum(entry.problem is not None for entry in entries)
    runs = f"{len(entries)} runs" + (f" ({bad} unreadable)" if bad else "")
    print(f"{runs}: {target} ({target.stat().st_size / 1e6:.1f} MB)")


def _find_folders(cfg: DictConfig) -> list[Path]:
    names = [cfg.runs] if isinstance(cfg.runs, str) else list(cfg.runs)
    if not names:
        raise UserError("give the folders of runs, or of a sweep: trompe compare FOLDER ...")
    folders = []
    for name in names:
        folder = expand(name, "runs")
        outputs = cfg.paths.output_dir
        folders.append(folder if folder.is_dir() else find_run(name, outputs, "runs").path)
    return [folder.absolute() for folder in folders]


def _serve(folders: list[Path], sweep: Path | None, cfg: DictConfig, title: str) -> None:
    is_trusted = cfg.trust is True
    study = None if sweep is None else _study_of(sweep, is_trusted)

    def make() -> dict[str, Any]:
        newest = None if sweep is None or study is None else _study_of(sweep, is_trusted)
        return page_data(read_entries(folders), newest, title)

    latest = Latest(make, lambda: look_at(folders))
    latest.get()  # says what is wrong before it says where the page is
    with make_server(latest, cfg.port) as server:
        print(
            f"http://127.0.0.1:{server.server_port} until Ctrl-C, for this machine only", flush=True
        )
        with suppress(KeyboardInterrupt):
            server.serve_forever()


def _is_sweep(folder: Path) -> bool:
    return os.path.lexists(folder / "sweep.yaml")


def _study_of(folder: Path, is_trusted: bool) -> "optuna.Study | None":
    """The study of a sweep's folder; None, with a word why, if it is in a database."""
    from trompe.sweeps.storage import OWN_FILES
    from trompe.sweeps.sweep_folder import SweepFolder

    sweep = SweepFolder(folder)
    if is_trusted or sweep.read_description().get("storage") in OWN_FILES:
        return sweep.load_study()
    print(f"the study of {folder} is in a database: set trust=true to show it as well")
    return None
