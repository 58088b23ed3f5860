"""The reproduce task: the same run again, in a fresh process, compared tick by tick."""

import os
from datetime import datetime
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig

from trompe.engine.hardware import describe_hardware
from trompe.errors import UserError, check_count, check_number
from trompe.paths import expand
from trompe.runs.differences import differing_facts
from trompe.runs.index import REPRODUCTIONS, find_folders
from trompe.runs.levels import level_of
from trompe.runs.naming import find_run
from trompe.runs.provenance import describe_code, describe_packages
from trompe.runs.run_folder import RunFolder, changed_initial, write_json
from trompe.tasks.again import follow
from trompe.tasks.recorded_code import check_recorded, source_of
from trompe.tasks.reproduce_seeds import reproduce_seeds
from trompe.training.beginning_weights import read_initial
from trompe.trust import PARTS, open_config


def reproduce(cfg: DictConfig) -> Path:
    """Train `cfg.run` again; returns the file with the verdict, in that folder.

    A folder of several runs, such as a sweep, is tested with another seed: see `reproduce_seeds`.

    Raises:
        UserError: if the result differs, naming the first tick, quantity and tensor; if it does
            not finish; and for what cannot be reproduced.
    """
    check_values(cfg)
    if (folder := _folder_of_runs(cfg)) is not None:
        return reproduce_seeds(cfg, folder)
    run = find_run(cfg.run, cfg.paths.output_dir)
    records = run.read_metrics()[: cfg.ticks]
    if not records:
        raise UserError(f"{run.path} has no recorded tick: there is nothing to compare with")
    output = expand(cfg.paths.output_dir, "paths.output_dir").absolute() / REPRODUCTIONS
    config = open_config(run, cfg.trust, *PARTS)
    if cfg.code == "recorded":
        check_recorded(run, cfg.trust)
    environment = differences_around(run, config, cfg.code)
    print(f"{run.path}: {len(records)} ticks to {records[-1]['kimg']:g} kimg")
    for line in environment or ["environment, code and data match the record"]:
        print(f"  {line}")
    extra = ["trust=true"] if cfg.trust is True else []
    if cfg.processes is not None:
        extra.append(f"trainer.devices={cfg.processes}")
    with source_of(run, cfg.code) as command:
        found = follow(run, records, [*command, *extra], output, float(cfg.tolerance))
    if cfg.tolerance == 0:
        found.compare_tensors(run)
    level = level_of(run.read_facts(), cfg.processes, cfg.tolerance)
    verdict = f"{found.verdict(cfg.tolerance)}{f' ({level})' if found.told is None else ''}"
    target = run.path / "reproductions" / f"{datetime.now():%Y-%m-%d_%H-%M-%S}.json"
    write_json(
        target,
        {
            "verdict": verdict,
            "level": None if found.told else level.name,
            **found.as_dict(),
            "tolerance": cfg.tolerance,
            "code": cfg.code,
            "environment": environment,
        },
    )
    print(f"verdict: {verdict}\n  {target}")
    if found.told is not None:
        raise UserError(f"{run.path} was not reproduced: {found.told}{_advice(run, cfg)}")
    return target


def check_values(cfg: DictConfig) -> None:
    """Refuse what cannot be asked for.

    Raises:
        UserError: naming the key.
    """
    if cfg.ticks is not None:
        check_count("ticks", cfg.ticks)
    if cfg.code not in ("current", "recorded"):
        raise UserError(f"code={cfg.code} is neither current nor recorded")
    check_number("tolerance", cfg.tolerance, 0)
    if cfg.processes is not None:
        check_count("processes", cfg.processes)
        if cfg.tolerance == 0:
            raise UserError(
                f"processes={cfg.processes} round in another order: set tolerance, such as 0.01"
            )


def _folder_of_runs(cfg: DictConfig) -> Path | None:
    """The folder that `cfg.run` names, if it is none of a run and holds some."""
    folder = expand(cfg.run, "run")
    if not folder.is_dir() or os.path.lexists(folder / "config.yaml"):
        return None
    return folder.absolute() if next(find_folders(folder), None) is not None else None


def _advice(run: RunFolder, cfg: DictConfig) -> str:
    counts = {session.get("processes", 1) for session in run.fact("sessions")}
    if len(counts) < 2 or cfg.tolerance:
        return ""
    processes = " and ".join(map(str, sorted(counts)))
    return f"; its sessions had {processes} processes, alike within rounding: set tolerance"


def differences_around(run: RunFolder, config: dict[str, Any], code: str) -> list[str]:
    """Lines that say where environment, code and data differ from the record.

    Args:
        run: the run.
        config: its config, which may be built.
        code: current or recorded.

    Raises:
        UserError: if the data, or the weights that the run began with, cannot be read.
    """
    facts = run.read_facts()
    lines = differing_facts(facts.get("packages", {}), describe_packages(), "environment")
    hardware = describe_hardware()
    recorded = {key: facts.get("hardware", {}).get(key) for key in hardware}
    # The number of threads is set to the recorded one.
    lines += differing_facts(recorded, {**hardware, "threads": recorded["threads"]}, "environment")
    if code == "current":
        lines += differing_facts(facts.get("code", {}), describe_code(), "code")
    run.enter_directory()
    data = instantiate(config["data"], _convert_="all")
    data.prepare_data()
    data.setup("fit")
    before = facts.get("data_fingerprint")
    if before != data.fingerprint:
        lines.append(f"data: their content hash was {before} and is now {data.fingerprint}")
    initial = read_initial(config["init"])[1] if config.get("init") is not None else None
    return [*lines, *filter(None, [changed_initial(facts, initial)])]
