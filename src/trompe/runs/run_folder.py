"""The run folder: everything a run is, in plain files, written so that a crash loses nothing."""

import json
import math
import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from trompe.errors import UserError
from trompe.files import CannotWrite, whole_file, whole_folder
from trompe.locks import Lock


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
        """Make the folder of a new run: config, overrides and run.json appear together.

        Raises:
            UserError: if the folder cannot be written.
        """
        try:
            with whole_folder(self.path) as started:
                _write_yaml(started / "config.yaml", config)
                _write_yaml(started / "overrides.yaml", overrides)
                write_json(started / "run.json", {**facts, "status": "running"})
        except CannotWrite as error:
            raise UserError(f"cannot make the run folder {self.path}: {error.reason}") from error

    def lock(self) -> None:
        """Claim the folder for this process until it ends, however it ends.

        Raises:
            UserError: if another process holds it.
        """
        if not self._lock.acquire(wait=False):
            raise UserError(f"{self.path} is being trained by another process")

    def is_locked(self) -> bool:
        """Whether a process is training this run now."""
        return self._lock.is_held()

    def unlock(self) -> None:
        """Release the folder before the process ends."""
        self._lock.release()

    def read_config(self) -> dict[str, Any]:
        """The resolved config.

        Raises:
            UserError: if this is not a run folder.
        """
        if not self.config_file.is_file():
            raise UserError(f"{self.path} is not a run folder: it has no config.yaml")
        config: dict[str, Any] = yaml.safe_load(self.config_file.read_text())
        return config

    def read_overrides(self) -> list[str]:
        """The command-line overrides that the run was started with."""
        return yaml.safe_load((self.path / "overrides.yaml").read_text()) or []

    def write_config(self, config: Mapping[str, Any], overrides: list[str]) -> None:
        """Replace the resolved config and what it was composed from (a longer budget, say)."""
        _write_yaml(self.config_file, config)
        _write_yaml(self.path / "overrides.yaml", overrides)

    def enter_directory(self) -> None:
        """Change to where the run was started, since its config's relative paths start there."""
        directory = Path(self.read_facts().get("cwd", "."))
        if directory.is_dir():
            os.chdir(directory)

    def check_data(self, fingerprint: str) -> None:
        """Refuse data other than those the run was trained on.

        Raises:
            UserError: if their fingerprint is not the recorded one.
        """
        recorded = self.read_facts()["data_fingerprint"]
        if recorded != fingerprint:
            raise UserError(
                f"the data of {self.path} have changed since it was started: their content hash "
                f"was {recorded[:12]} and is now {fingerprint[:12]}"
            )

    def read_facts(self) -> dict[str, Any]:
        """What run.json holds; empty if it is missing."""
        file = self.path / "run.json"
        return json.loads(file.read_text()) if file.is_file() else {}

    def update_facts(self, **facts: Any) -> None:
        """Change entries of run.json, atomically."""
        write_json(self.path / "run.json", {**self.read_facts(), **facts})

    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """Add one tick's line to metrics.jsonl; values that are not finite become null."""
        clean = {k: _finite(v) for k, v in record.items()}
        with (self.path / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(clean) + "\n")

    def read_metrics(self) -> list[dict[str, Any]]:
        """All ticks' records, oldest first; a torn last line is left out."""
        file = self.path / "metrics.jsonl"
        records = []
        for line in file.read_text().splitlines() if file.is_file() else []:
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return records

    def rewind(self, kimg: float) -> None:
        """Drop every record after `kimg`: the resumed run writes those ticks again."""
        kept = [r for r in self.read_metrics() if r["kimg"] <= kimg + 1e-9]
        with whole_file(self.path / "metrics.jsonl") as file:
            file.writelines(json.dumps(record) + "\n" for record in kept)


def new_run_path(output_dir: str, experiment: str) -> Path:
    """`<output_dir>/<experiment>/<date>_<time>_<id>` for a run that starts now."""
    now = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    return Path(output_dir).expanduser().absolute() / experiment / f"{now}_{secrets.token_hex(3)}"


def open_run(path: str | Path) -> RunFolder:
    """The existing run at `path`.

    Raises:
        UserError: if there is no such folder or it is not a run folder.
    """
    folder = RunFolder(Path(path).expanduser())
    if not folder.path.is_dir():
        raise UserError(f"there is no run folder at {path}")
    folder.read_config()
    return folder


def quoted(text: str) -> str:
    """Any text, such as a path, quoted as the value of a Hydra override."""
    escaped = text.replace("\\'", "\\\\'").replace("'", "\\'")
    return f"'{escaped}'"


def utc_now() -> str:
    """The time now, as run.json writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all.

    Raises:
        UserError: if it cannot be written.
    """
    with whole_file(path) as file:
        file.write(json.dumps(value, indent=2) + "\n")


def _write_yaml(path: Path, value: Any) -> None:
    with whole_file(path) as file:
        yaml.safe_dump(value, file, sort_keys=False)
