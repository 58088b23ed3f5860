"""Where nothing can be written, a run ends in one line, and goes on as if it had not."""

import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import FAMILIES, TINY, Trompe, beginning_of, difference, load, values
from trompe.errors import UserError
from trompe.files import CannotWrite
from trompe.loggers.csv_file import CSVFile
from trompe.loggers.tracker import Tracker
from trompe.runs.run_folder import RunFolder
from trompe.training.recorded import recorded

ARGUMENTS = [*TINY[:-3], "logger=[csv]", *TINY[-2:], *FAMILIES["mlp_gan"]]
LONGER = "kimg=0.096"


@contextmanager
def largest(size: int) -> Iterator[None]:
    """No file can grow beyond this many bytes, which fails as a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_run_goes_on_bitwise_after_its_disk_was_full(trompe: Trompe) -> None:
    trompe("train", *ARGUMENTS, "kimg=0.048", "name=cut")
    run = trompe.runs()[-1]
    whole = RunFolder(shutil.copytree(run.path, trompe.outputs / "whole" / "run"))
    trompe("train", f"run={whole.path}", LONGER)

    # The third write of a resumed session is of run.json; the first ones are of its config.
    message = trompe.fails_on_a_full_disk("train", f"run={run.path}", LONGER, largest=1000)
    assert message == f"trompe: cannot write {run.path}/config.yaml: File too large"

    before = run.last_checkpoint.read_bytes()
    places = {"metrics.jsonl": "/dev/full", "samples/00000.096.png": None, "metrics.csv": None}
    for name, link in places.items():
        path, aside = run.path / name, run.path / "aside"
        if path.exists():
            path.rename(aside)
        path.symlink_to(link) if link else path.mkdir()
        # With the trust that a folder with links needs.
        message = trompe.fails("train", f"run={run.path}", LONGER, "trust=true")
        assert message.startswith(f"trompe: cannot write {path}: ")
        assert run.last_checkpoint.read_bytes() == before
        assert run.read_facts()["status"] == "failed"
        path.unlink() if link else path.rmdir()
        if aside.exists():
            aside.rename(path)
    (run.path / "checkpoints" / ".last.0123abcd.tmp.ckpt").write_bytes(b"of a killed run")
    (run.path / ".run.0123abcd.tmp").touch()

    trompe("train", f"run={run.path}", LONGER)
    a, b = load(run.last_checkpoint), load(whole.last_checkpoint)
    result = ("state_dict", "optimizer_states", "clock", "callbacks")
    assert difference({k: a[k] for k in result}, {k: b[k] for k in result}) is None
    assert values(run) == values(whole) and len(values(run)) == 2
    assert load(run.best_checkpoint)["clock"] == load(whole.best_checkpoint)["clock"]
    assert not [path for path in run.path.rglob(".*") if ".tmp" in path.name]

    (run.path / "curves.png").unlink()
    (run.path / "curves.png").mkdir()
    message = trompe.fails("train", f"run={run.path}")
    assert "curves.png: Is a directory" in message and run.read_facts()["status"] == "done"

    (trompe.outputs / "reproductions").touch()
    assert "reproductions" in trompe.fails("reproduce", str(run.path))


def test_a_cache_that_cannot_be_written_is_done_without(trompe: Trompe) -> None:
    trompe("train", *ARGUMENTS)
    cache = trompe.folder / "full"
    cache.mkdir()
    (cache / "reference").touch()
    trompe("train", *ARGUMENTS, TROMPE_CACHE_DIR=str(cache))
    values = [run.read_metrics()[-1]["fd_random_conv"] for run in trompe.runs()]
    assert len(values) == 2 and values[0] == values[1]
    assert trompe.runs()[-1].read_facts()["status"] == "done"


def test_a_damaged_run_is_one_line_where_it_is_needed(trompe: Trompe) -> None:
    run = RunFolder(trompe.outputs / "gan" / "run")
    run.create({"kimg": 1}, [], {"format": 2, "cwd": "."})
    run.facts_file.write_text('{"format": "x"}')
    line = f"trompe: cannot read {run.facts_file}: format is 'x', not a whole number"
    assert trompe.fails("train", f"run={run.path}") == line
    run.config_file.write_text("a: &a [1]\nb: *a")
    line = f"trompe: cannot read {run.config_file}: line 1 has an anchor"
    for command in ("train", "sample", "evaluate", "reproduce"):
        assert trompe.fails(command, f"run={run.path}") == line
    assert "unreadable: run.json" in trompe("runs").stdout
    assert "1 runs (1 unreadable)" in trompe("compare", str(run.path.parent), "out=a").stdout


class Broken(CSVFile):
    """A tracker that cannot be closed."""

    def _close(self, status: str) -> None:
        raise OSError("the tracker is broken")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "run")
    run.create({}, [], {})
    return run


def end(run: RunFolder, error: Exception | None) -> None:
    tracker: Tracker = Broken("project", "run", run.path)
    tracker.log_config({})
    with recorded(beginning_of(run), {"csv": tracker}):
        run.facts_file.unlink()
        run.facts_file.mkdir()
        if error:
            raise error


def test_what_cannot_be_recorded_does_not_hide_the_error(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="the first"):
        end(run, ValueError("the first"))
    told = capsys.readouterr().err
    assert "run.json: Is a directory" in told and "the tracker is broken" in told


def test_a_finished_run_that_cannot_be_recorded_says_so(run: RunFolder) -> None:
    with pytest.raises(UserError, match=r"run.json: Is a directory"):
        end(run, None)
    assert not run.is_locked()


def test_a_table_on_a_full_disk_stays_as_it_was(tmp_path: Path) -> None:
    tracker = CSVFile("project", "run", tmp_path)
    for kimg in range(30):
        tracker.log_record({"loss": 0.5}, kimg)
    before = (tmp_path / "metrics.csv").read_bytes()
    for record in ({"loss": 0.5}, {"loss": 0.5, "fd": 1.0}):
        with (
            largest(len(before) + 3),
            pytest.raises(CannotWrite, match=r"metrics.csv: File too large"),
        ):
            tracker.log_record(record, 30)
        assert (tmp_path / "metrics.csv").read_bytes() == before
        assert os.listdir(tmp_path) == ["metrics.csv"]
    tracker.log_record({"loss": 1.0, "fd": 1.0}, 30)
    assert (tmp_path / "metrics.csv").read_text().endswith("29.0,0.5,\n30.0,1.0,1.0\n")
    again = CSVFile("project", "run", tmp_path)
    again.resume_at(3)
    again.log_record({"loss": 2.0}, 4)
    assert (tmp_path / "metrics.csv").read_text().endswith("2.0,0.5,\n3.0,0.5,\n4.0,2.0,\n")


@pytest.mark.parametrize(
    "content", ["\0" * 9 + "\n1,2\n", "loss,kimg\n1,2\n", '"' + "x" * 200_000 + "\n1\n"]
)
def test_a_damaged_table_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "metrics.csv").write_text(content)
    tracker = CSVFile("project", "run", tmp_path)
    with pytest.raises(UserError, match=r"cannot read .*metrics.csv: "):
        tracker.log_record({"loss": 1.0}, 3)
    assert (tmp_path / "metrics.csv").read_text() == content
