"""The run folder: everything a run is, in plain files, written so that a crash loses nothing."""

import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trompe.errors import UserError
from trompe.files import CannotWrite, remove_leftovers, whole_file, whole_folder
from trompe.locks import Lock
from trompe.masking import has_mask, mask
from trompe.paths import expand
from trompe.runs.identity import new_identity, settled
from trompe.runs.plain_yaml import dump_yaml
from trompe.runs.reading import read_json, read_yaml, require
from trompe.runs.records import Record, append_record, read_records, rewind
from trompe.runs.shape import CONFIG, FACTS, OVERRIDES, USED
from trompe.runs.tensors import rewind_sums
from trompe.search_path import enter


class RunFolder:
    """One run's folder; see the design for its layout.

    Args:
        path: the folder; it need not exist until `create`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock = Lock(self.path / ".lock")

    @property
    def config_file(self) -> Path:
        """The resolved config."""
        return self.path / "config.yaml"

    @property
    def facts_file(self) -> Path:
        """Everything else that there is to know about it."""
        return self.path / "run.json"

    @property
    def metrics_file(self) -> Path:
        """The records of its ticks."""
        return self.path / "metrics.jsonl"

    @property
    def tensors_file(self) -> Path:
        """The checksums of its tensors at every tick."""
        return self.path / "tensors.jsonl"

    @property
    def last_checkpoint(self) -> Path:
        """The checkpoint of the last tick."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def best_checkpoint(self) -> Path:
        """The checkpoint with the best value of the tracked metric."""
        return self.path / "checkpoints" / "best.ckpt"

    def create(
        self, config: Mapping[str, Any], overrides: list[str], facts: dict[str, Any]
    ) -> None:
        """Make the folder of a new run, with an id: config, overrides, run.json appear together.

        Raises:
            UserError: if the folder cannot be written.
        """
        try:
            with whole_folder(self.path) as started:
                write_yaml(started / "config.yaml", config)
                write_yaml(started / "overrides.yaml", overrides)
                known = new_identity(self.path, started)
                write_json(started / "run.json", {**known, **facts, "status": "running"})
        except CannotWrite as error:
            raise UserError(f"cannot make the run folder {self.path}: {error.reason}") from error

    def lock(self) -> None:
        """Claim the folder for this process until it ends, however it ends.

        What a killed process has left half-written is removed.

        Raises:
            UserError: if another process holds it.
        """
        if not self._lock.acquire(wait=False):
            raise UserError(f"{self.path} is being trained by another process")
        for folder in (self.path, self.last_checkpoint.parent, self.path / "samples"):
            remove_leftovers(folder)

    def identity(self) -> dict[str, Any]:
        """What it is known by from now on: see `trompe.runs.identity.settled`."""
        return settled(self.path, self.read_facts(), _id_at)

    def is_locked(self) -> bool:
        """Whether a process is training this run now."""
        return self._lock.is_held()

    def unlock(self) -> None:
        """Release the folder before the process ends."""
        self._lock.release()

    def read_config(self, is_shared: bool = False) -> dict[str, Any]:
        """The resolved config.

        Args:
            is_shared: whether parts may be objects that other runs' configs have too, which takes
                less time for many runs.

        Raises:
            UserError: if this is not a run folder, or the config cannot be read.
        """
        if not os.path.lexists(self.config_file):
            raise UserError(f"{self.path} is not a run folder: it has no config.yaml")
        config: dict[str, Any] = read_yaml(self.config_file, CONFIG, is_shared)
        return config

    def read_experiment(self, needed: Iterable[str] = USED) -> dict[str, Any]:
        """The resolved config, with all that is needed of it: to sample and measure, or more.

        Raises:
            UserError: as `read_config`, or if something is missing in it.
        """
        config = self.read_config()
        require(self.config_file, config, needed)
        return config

    def read_overrides(self) -> list[str]:
        """The command-line overrides that the run was started with.

        Raises:
            UserError: if they cannot be read.
        """
        return read_yaml(self.path / "overrides.yaml", OVERRIDES) or []

    def write_config(self, config: Mapping[str, Any], overrides: list[str]) -> None:
        """Replace the resolved config and what it was composed from (a longer budget, say)."""
        write_yaml(self.config_file, config)
        write_yaml(self.path / "overrides.yaml", overrides)

    def enter_directory(self) -> None:
        """Change to where the run was started, since its config's relative paths start there."""
        directory = Path(self.read_facts().get("cwd", "."))
        if directory.is_dir():
            enter(directory)

    def check_data(self, fingerprint: str) -> None:
        """Refuse data other than those the run was trained on.

        Raises:
            UserError: if their fingerprint is not the recorded one.
        """
        recorded = self.fact("data_fingerprint")
        if recorded != fingerprint:
            raise UserError(
                f"the data of {self.path} have changed since it was started: their content hash "
                f"was {recorded[:12]} and is now {fingerprint[:12]}"
            )

    def check_initial(self, initial: Mapping[str, Any] | None) -> None:
        """Refuse other weights than those the run began with.

        Raises:
            UserError: if their hash is not the recorded one.
        """
        line = changed_initial(self.read_facts(), initial)
        if line is not None:
            raise UserError(f"{self.path} cannot go on: {line}; begin again with fresh=true")

    def read_facts(self) -> dict[str, Any]:
        """What run.json holds.

        Raises:
            UserError: if it cannot be read.
        """
        facts: dict[str, Any] = read_json(self.facts_file, FACTS)
        return facts

    def fact(self, name: str) -> Any:
        """An entry of run.json.

        Raises:
            UserError: if it is missing.
        """
        facts = self.read_facts()
        require(self.facts_file, facts, [name])
        return facts[name]

    def update_facts(self, **facts: Any) -> None:
        """Change entries of run.json, atomically.

        Raises:
            UserError: if it cannot be read or written.
        """
        write_json(self.facts_file, {**self.read_facts(), **facts})

    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """Add one tick's line to metrics.jsonl; values that are not finite become null.

        Raises:
            UserError: if it cannot be written.
        """
        append_record(self.metrics_file, record)

    def iterate_metrics(self) -> Iterator[Record]:
        """All ticks' records, oldest first, few of them in memory; a torn last line is left out.

        Raises:
            UserError: if one cannot be read.
        """
        return read_records(self.metrics_file) if os.path.lexists(self.metrics_file) else iter(())

    def read_metrics(self) -> list[Record]:
        """All ticks' records, oldest first; a torn last line is left out.

        Raises:
            UserError: if one cannot be read.
        """
        return list(self.iterate_metrics())

    def rewind(self, kimg: float) -> None:
        """Drop every record after `kimg`: the resumed run writes those ticks again.

        Raises:
            UserError: if the last records cannot be read, or not be dropped.
        """
        rewind(self.metrics_file, kimg)
        rewind_sums(self.tensors_file, kimg)


def _id_at(path: Path) -> str | None:
    try:
        found: str | None = RunFolder(path).read_facts().get("id")
        return found
    except UserError:
        return None


def new_run_path(output_dir: str, experiment: str) -> Path:
    """`<output_dir>/<experiment>/<date>_<time>_<id>` for a run that starts now."""
    now = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    place = expand(output_dir, "paths.output_dir").absolute()
    return place / experiment / f"{now}_{secrets.token_hex(3)}"


def open_run(path: str | Path) -> RunFolder:
    """The existing run at `path`.

    Raises:
        UserError: if there is no such folder or it is not a run folder.
    """
    folder = RunFolder(expand(path, "run"))
    if not folder.path.is_dir():
        raise UserError(f"there is no run folder at {path}")
    folder.read_config()
    return folder


def utc_now() -> str:
    """The time now, as run.json writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all.

    Raises:
        UserError: if it cannot be written.
    """
    # What was masked in it may not have been all: such a file is for its owner alone.
    with whole_file(path, private=has_mask(value)) as file:
        file.write(json.dumps(value, indent=2) + "\n")


def write_yaml(path: Path, value: Any) -> None:
    """Write a YAML file of plain values without their secrets, whole or not at all.

    Raises:
        UserError: if it cannot be written.
    """
    masked = mask(value)
    with whole_file(path, private=has_mask(masked)) as file:
        file.write(dump_yaml(masked))


def changed_initial(facts: Mapping[str, Any], initial: Mapping[str, Any] | None) -> str | None:
    """What to say if the weights that `init` names are not those that a run's facts have."""
    before, now = ((x or {}).get("sha256") for x in (facts.get("init"), initial))
    if before is None or before == now:  # older runs did not record it
        return None
    return f"the weights of init: their hash was {before[:12]} and is now {str(now)[:12]}"
