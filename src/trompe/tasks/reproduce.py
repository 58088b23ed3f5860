"""The reproduce task: the same run again, in a fresh process, compared tick by tick."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig

from trompe.engine.checkpoint import load_checkpoint
from trompe.engine.hardware import describe_hardware
from trompe.errors import UserError, check_count, check_number
from trompe.files import told_as
from trompe.paths import expand
from trompe.runs.differences import (
    Difference,
    differing_facts,
    differing_tensor,
    first_difference,
)
from trompe.runs.index import find_runs
from trompe.runs.naming import find_run
from trompe.runs.provenance import checkout, describe_code, describe_packages
from trompe.runs.run_folder import RunFolder, changed_initial, write_json
from trompe.search_path import command as trompe_command
from trompe.streams import visible
from trompe.sweeps.launchers import Local
from trompe.sweeps.trial import Active
from trompe.training.beginning_weights import read_initial
from trompe.trust import PARTS, open_config
from trompe.words import quoted

# The parts of a checkpoint that hold training state; the rest says where and when.
_RESULTS = ("state_dict", "optimizer_states", "clock")


def reproduce(cfg: DictConfig) -> Path:
    """Train `cfg.run` again; returns the file with the verdict, in that folder.

    Raises:
        UserError: if the result differs, naming the first tick and quantity; if it does not
            finish; and for what cannot be reproduced.
    """
    if cfg.ticks is not None:
        check_count("ticks", cfg.ticks)
    if cfg.code not in ("current", "recorded"):
        raise UserError(f"code={cfg.code} is neither current nor recorded")
    check_number("tolerance", cfg.tolerance, 0)
    run = find_run(cfg.run, cfg.paths.output_dir)
    records = run.read_metrics()[: cfg.ticks]
    if not records:
        raise UserError(f"{run.path} has no recorded tick: there is nothing to compare with")
    output = expand(cfg.paths.output_dir, "paths.output_dir").absolute() / "reproductions"
    config = open_config(run, cfg.trust, *PARTS)
    if cfg.code == "recorded":
        check_recorded(run, cfg.trust)
    environment = differences_around(run, config, cfg.code)
    print(f"{run.path}: {len(records)} ticks to {records[-1]['kimg']:g} kimg")
    for line in environment or ["environment, code and data match the record"]:
        print(f"  {line}")
    with source_of(run, cfg.code) as command:
        trust = ["trust=true"] if cfg.trust is True else []
        again, new_records, found = follow(
            run, records, [*command, *trust], output, float(cfg.tolerance)
        )
    weights = None
    if found is None and len(new_records) >= len(records) and again and cfg.tolerance == 0:
        weights = compare_weights(run, again)
    verdict = _verdict(found, weights, len(records), len(new_records), cfg.tolerance)
    target = run.path / "reproductions" / f"{datetime.now():%Y-%m-%d_%H-%M-%S}.json"
    write_json(
        target,
        {
            "verdict": verdict,
            "ticks": min(len(records), len(new_records)),
            "tolerance": cfg.tolerance,
            "code": cfg.code,
            "first_difference": found.as_dict() if found else None,
            "weights": weights,
            "environment": environment,
            "run": str(again.path) if again else None,
        },
    )
    print(f"verdict: {verdict}\n  {target}")
    if found is not None or (weights is not None and weights != "bitwise equal"):
        counts = {session.get("processes", 1) for session in run.fact("sessions")}
        told = f"{run.path} was not reproduced: {found or weights}"
        if len(counts) > 1:
            processes = " and ".join(map(str, sorted(counts)))
            told += (
                f"; its sessions had {processes} processes, alike within rounding: set tolerance"
            )
        raise UserError(told)
    return target


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


@contextmanager
def source_of(run: RunFolder, code: str) -> Iterator[list[str]]:
    """The command that trains: with this code, or with the recorded one in a temporary worktree.

    Raises:
        UserError: if there is no such commit, or its uncommitted changes do not apply.
    """
    if code == "current":
        yield trompe_command("train")
        return
    recorded = run.read_facts()["code"]
    root = checkout()
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "trompe"
        _git(root, "worktree", "add", "--detach", str(tree), recorded["commit"])
        try:
            if recorded.get("dirty_diff"):
                _git(tree, "apply", "-", text=recorded["dirty_diff"])
            path = os.pathsep.join(filter(None, [f"{tree / 'src'}", os.environ.get("PYTHONPATH")]))
            yield ["env", f"PYTHONPATH={path}", *trompe_command("train")]
        finally:
            _git(root, "worktree", "remove", "--force", str(tree))


def check_recorded(run: RunFolder, trust: bool) -> None:
    """Show the recorded commit and changes, which are code to be run, and ask for consent.

    An older commit may check less of what a folder names than this one does.

    Raises:
        UserError: if there is no such commit here, the changes have masked secrets, or consent is
            not given; without a terminal only ``trust=true`` gives it.
    """
    recorded = run.read_facts().get("code") or {}
    commit, diff = recorded.get("commit"), recorded.get("dirty_diff")
    if not commit or not (checkout() / ".git").exists():
        raise UserError(
            f"{run.path}: no commit is recorded, or this is not a checkout: use code=current"
        )
    if not re.fullmatch("[0-9a-f]{40,64}", str(commit)) or not _has_commit(commit):
        raise UserError(
            f"{run.path} was trained on the commit {str(commit)[:12]!r}, which is not in "
            f"{checkout()}: fetch it, or use code=current"
        )
    if recorded.get("is_masked"):
        raise UserError(
            f"{run.path}: secrets in its recorded changes were masked, so these do not apply: use "
            "code=current"
        )
    diff = diff or ""
    if "\nGIT binary patch" in diff:  # which git diff does not write of itself, and nobody can read
        raise UserError(f"{run.path}: its recorded changes hold binary files: use code=current")
    shown = visible(diff, kept="\n\t")
    changes = f" with these changes:\n{shown}" if diff else ", unchanged"
    print(f"{run.path} was trained on the commit {commit[:12]}{changes}")
    if trust is True:  # not the text of trust=no
        return
    if not sys.stdin.isatty():
        raise UserError(
            f"{run.path} runs the recorded code shown above: set trust=true if you trust it"
        )
    if input("Check out and run this code? [y/N] ").strip().lower() not in ("y", "yes"):
        raise UserError("the recorded code was not checked out, and nothing was run")


def _has_commit(commit: str) -> bool:
    command = ["git", "-C", str(checkout()), "cat-file", "-e", f"{commit}^{{commit}}"]
    return subprocess.run(command, capture_output=True).returncode == 0


def _git(root: Path, *arguments: str, text: str | None = None) -> None:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], input=text, capture_output=True, text=True
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"git {' '.join(arguments[:2])} failed: {reason}")


def follow(
    run: RunFolder,
    records: list[dict[str, Any]],
    command: list[str],
    output: Path,
    tolerance: float,
) -> tuple[RunFolder | None, list[dict[str, Any]], Difference | None]:
    """Train until the same number of ticks are recorded, or until one differs.

    Returns:
        the new run, the records that were compared, and the difference. They are not to be read
        again: a run that is stopped while it writes a record takes it back.

    Raises:
        UserError: with its last line, if the training fails.
    """
    place = output / f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{run.path.name.rpartition('_')[2]}"
    with told_as(place):
        place.mkdir(parents=True)
    threads = run.read_facts().get("hardware", {}).get("threads") or "auto"
    arguments = [
        *(f"run={quoted(str(run.path))}", "fresh=true", "logger=[]"),
        f"paths.output_dir={quoted(str(place))}",
    ]
    job = Local(command, threads=threads).start(arguments, place, 0, 1)
    active = Active(0, {}, place, job, 0)
    shown = 0
    is_whole = len(records) == len(run.read_metrics())
    ends = {session.get("from_kimg") for session in run.fact("sessions")[1:]}
    try:
        while True:
            code = job.poll()  # before reading, so that nothing is written after the last look
            active.run = active.run or next(iter(find_runs(place)), None)
            if active.run is not None:
                active.read()
            wanted = comparable(records, active.records, ends)
            found = first_difference(wanted, active.records, tolerance)
            for record in active.records[shown : len(records)]:
                print(f"  tick {record['tick']} of {len(records)}: {record['kimg']:g} kimg")
            shown = len(active.records)
            # A whole run ends by itself, with its last checkpoint.
            if found is not None or code == 0 or (shown >= len(records) and not is_whole):
                return active.run, active.records, found
            if code is not None:
                raise UserError(f"the reproduction of {run.path} failed: {active.error()}")
            time.sleep(0.2)
    finally:
        while job.poll() is None:
            active.stop()
            time.sleep(0.1)


def comparable(
    records: list[dict[str, Any]], again: list[dict[str, Any]], ends: Collection[Any]
) -> list[dict[str, Any]]:
    """The records without what was measured only because a smaller budget ended there."""
    return [
        {key: old[key] for key in old if key in new} if old["kimg"] in ends else old
        for old, new in zip(records, again, strict=False)
    ]


def compare_weights(run: RunFolder, again: RunFolder) -> str | None:
    """Whether the last checkpoints are equal, if both have the same image count; else None."""
    if not (run.last_checkpoint.is_file() and again.last_checkpoint.is_file()):
        return None
    old, new = load_checkpoint(run.last_checkpoint), load_checkpoint(again.last_checkpoint)
    if old["clock"] != new["clock"]:
        return None
    found = differing_tensor({k: old[k] for k in _RESULTS}, {k: new[k] for k in _RESULTS})
    if found is None:
        return "bitwise equal"
    return f"the checkpoints differ, first in {found[0]} (largest difference {found[1]:.2g})"


def _verdict(
    found: Difference | None, weights: str | None, wanted: int, got: int, tolerance: float
) -> str:
    if found is not None:
        return f"differs at {found}"
    if weights is not None and weights != "bitwise equal":
        return weights
    if got < wanted:
        raise UserError(f"the reproduction ended after {got} of {wanted} ticks")
    if tolerance:
        return f"equal within {tolerance:g} over {wanted} ticks"
    what = "records and weights" if weights else "records"
    return f"bitwise equal: {what} of {wanted} ticks"
