"""The table of runs."""

import csv
import io
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from rich.console import Console

from trompe.errors import UserError
from trompe.report.run_table import ago
from trompe.runs.naming import find_run
from trompe.runs.run_folder import RunFolder
from trompe.tasks.runs import list_runs


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    for number, (loss, value) in enumerate([("hinge", 30.0), ("hinge", 10.0), ("minimax", 20.0)]):
        run = RunFolder(tmp_path / "gan" / f"run{number}")
        protocol = {"measure": "fd", "better": "lower", "n_images": 100}
        sessions = [{"started": f"2026-01-0{number + 1}T00:00:00+00:00"}]
        facts: dict[str, Any] = {"protocols": {"fd": protocol}, "sessions": sessions}
        run.create({"model": {"loss": loss}, "seed": number}, [], facts)
        run.append_metrics({"kimg": 1.0, "tick": 1, "fd": value, "speed/tick_seconds": 60.0})
        run.update_facts(status="done" if number else "running", kimg=float(number))
    return tmp_path


def listed(outputs: Path, **settings: Any) -> list[str]:
    defaults = {"folders": [str(outputs)], "where": [], "sort": "started", "columns": []}
    config = OmegaConf.create({**defaults, "limit": 50, **settings})
    return [entry.run.path.name for entry in list_runs(config)]


def test_order_and_conditions(outputs: Path) -> None:
    assert listed(outputs) == ["run0", "run1", "run2"]
    assert listed(outputs, sort="fd") == ["run1", "run2", "run0"]
    assert listed(outputs, sort="-fd", limit=2) == ["run0", "run2"]
    assert listed(outputs, where=["model.loss==hinge", "fd<20"]) == ["run1"]
    assert listed(outputs, where=["seed>=1"], sort="-kimg") == ["run2", "run1"]
    assert listed(outputs, where=["status!=done"]) == ["run0"]


def test_a_run_that_nobody_trains_is_killed(outputs: Path, capsys: Any) -> None:
    assert listed(outputs, where=["status==killed"]) == ["run0"]
    RunFolder(outputs / "gan" / "run0").lock()
    assert listed(outputs, where=["status==running"]) == ["run0"]


def test_what_is_shown(outputs: Path) -> None:
    console = Console(width=1000, record=True)
    config = {"folders": [str(outputs)], "where": ["seed==1"], "sort": "started", "limit": 50}
    list_runs(OmegaConf.create({**config, "columns": ["model.loss"]}), console)
    text = console.export_text()
    for word in ("done", "hinge", "10", "2026-01-02", str(outputs / "gan" / "run1")):
        assert word in text


def test_metrics_of_different_protocols_are_not_ranked(outputs: Path) -> None:
    run = RunFolder(outputs / "gan" / "run2")
    run.update_facts(protocols={"fd": {"measure": "fd", "better": "lower", "n_images": 500}})
    with pytest.raises(UserError, match="2 protocols, which differ in n_images"):
        listed(outputs, sort="fd")
    assert listed(outputs, sort="fd", where=["seed<2"]) == ["run1", "run0"]


def test_listing_needs_no_heavy_package() -> None:
    code = (
        "import sys; import trompe.tasks.runs; print({'torch', 'optuna', 'PIL'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sort": "nope"}, "no run has a nope"),
        ({"where": ["nope>1"]}, "no run has a nope"),
        ({"where": ["kimg"]}, "is not a condition"),
        ({"where": ["kimg>much"]}, "is a number"),
        ({"folders": ["/nowhere"]}, "there is no folder /nowhere"),
    ],
)
def test_mistakes(outputs: Path, settings: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        listed(outputs, **settings)


def test_the_latest_run_is_found_by_its_start(
    outputs: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert find_run("latest", str(outputs)).path == outputs / "gan" / "run2"
    RunFolder(outputs / "gan" / "run1").update_facts(
        sessions=[{"started": "2026-01-09T00:00:00+00:00"}]
    )
    assert find_run("latest", str(outputs)).path == outputs / "gan" / "run1"
    # A folder of that name is a folder.
    (outputs / "gan" / "run0").rename("latest")
    assert find_run("latest", str(outputs)).path == Path("latest").absolute()
    Path("latest").rename("other")
    with pytest.raises(UserError, match="run=latest: there are no runs below nowhere"):
        find_run("latest", "nowhere")


@pytest.mark.parametrize("task", ["train", "sample", "evaluate", "stylize", "export", "reproduce"])
def test_the_latest_run_is_looked_for_below_the_output_folder(task: str, tmp_path: Path) -> None:
    given = {"stylize": ["content=x.png"]}.get(task, [])
    overrides = ["run=latest", f"paths.output_dir={tmp_path / 'mine'}", *given]
    command = [sys.executable, "-m", "trompe", task, *overrides]
    told = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert told.returncode == 2
    assert f"run=latest: there are no runs below {tmp_path / 'mine'}" in told.stderr


def shown(outputs: Path, width: int, **changes: Any) -> str:
    console = Console(width=width, record=True, force_terminal=True)
    config = {"folders": [str(outputs)], "where": [], "sort": "started", "columns": []}
    list_runs(OmegaConf.create({**config, "limit": 50, **changes}), console)
    return console.export_text()


def test_a_terminal_of_80_columns_shows_ids_and_what_was_varied(tmp_path: Path) -> None:
    for number, loss in enumerate(["hinge", "wasserstein"]):
        run = RunFolder(tmp_path / "dcgan_demo" / f"2026-01-01_00-00-00_abcd0{number}")
        typed = ["experiment=dcgan_demo", f"model.loss={loss}", f"seed={number}"]
        sessions = [{"started": "2026-01-01T00:00:00+00:00"}]
        run.create({"seed": number, "kimg": 120}, typed, {"sessions": sessions})
        run.append_metrics({"kimg": 1.0, "tick": 1, "fd_efflite0": 123.456, "kd_efflite0": 4.0})
        run.update_facts(status="done", kimg=120.0)
    text = shown(tmp_path, 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "abcd01" in text and " wasserstein, seed 1 " in text and "d ago" in text
    assert "fd_efflite0" in text and "kd_efflite0" not in text
    assert "dcgan_demo: wasserstein, seed 1" in shown(tmp_path, 110)
    # What was asked for is there, whatever else there is no room for.
    text = shown(tmp_path, 80, sort="kd_efflite0")
    assert "kd_efflite0" in text and "fd_efflite0" not in text
    text = shown(tmp_path, 60, columns=["budget"])
    assert "budget" in text and "kd_efflite0" not in text and " seed 1 " in text
    assert "2026-01-01" not in text


def test_scripts_get_json_and_csv(outputs: Path, capsys: Any) -> None:
    listed(outputs, format="json", sort="fd", columns=["model.loss"])
    rows = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in rows] == ["run1", "run2", "run0"]
    assert rows[0]["fd"] == 10.0 and rows[0]["model.loss"] == "hinge"
    assert rows[0]["path"] == str(outputs / "gan" / "run1") and rows[0]["experiment"] == "gan"
    listed(outputs, format="csv", sort="fd")
    text = capsys.readouterr().out
    assert [row["fd"] for row in csv.DictReader(io.StringIO(text))] == ["10.0", "20.0", "30.0"]


def test_formats_are_checked(outputs: Path) -> None:
    with pytest.raises(UserError, match="format=xml is not one of table, json, csv"):
        listed(outputs, format="xml")
    with pytest.raises(UserError, match="watch=true needs a terminal"):
        listed(outputs, watch=True)


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "just now"), (120, "2 min ago"), (7300, "2 h ago"), (1e6, "11 d ago")]
)
def test_how_long_ago(seconds: float, text: str) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert ago((now - timedelta(seconds=seconds)).isoformat(), now) == text
    assert ago(None, now) == ""
