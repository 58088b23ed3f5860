"""Runs that cannot be read are listed and compared as such: none is missing, none ends it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from PIL import Image
from rich.console import Console

from trompe.report import collect
from trompe.report.collect import read_entries
from trompe.report.page import write_page
from trompe.runs.index import find_folders, find_runs
from trompe.runs.run_folder import RunFolder
from trompe.tasks.runs import list_runs


def make_run(path: Path, day: int = 1, **config: Any) -> RunFolder:
    run = RunFolder(path)
    sessions = [{"started": f"2026-01-{day:02d}T00:00:00+00:00"}]
    protocols = {"fd": {"better": "lower"}}
    facts = {"sessions": sessions, "protocols": protocols, "kimg": float(day)}
    run.create({"seed": day, **config}, [], facts)
    for tick in (1, 2):
        run.append_metrics({"kimg": tick, "tick": tick, "fd": 10.0 * day + tick})
    run.update_facts(status="done")
    return run


def damage(name: str, content: str | bytes) -> Callable[[Path], object]:
    data = content if isinstance(content, bytes) else content.encode()
    return lambda run: (run / name).write_bytes(data)


def replace(name: str, make: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda run: ((run / name).unlink(), make(run / name))


DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (damage("run.json", '{"status'), "run.json: it is not JSON"),
    (damage("run.json", ""), "run.json: it is empty"),
    (damage("run.json", "[]"), "run.json: it is [], not a mapping"),
    (damage("run.json", '{"sessions": 3}'), "run.json: sessions is 3, not a list"),
    (damage("run.json", '{"kimg": "x"}'), "run.json: kimg is 'x', not a number"),
    (damage("run.json", '{"sessions": [{"started": "yesterday"}]}'), "not a time"),
    (damage("run.json", '{"protocols": []}'), "run.json: protocols is [], not a mapping"),
    (damage("run.json", b"\xff"), "run.json: byte 1 is not of UTF-8 text"),
    (damage("run.json", "[" * 100_000), "run.json: its values are nested too deeply"),
    (replace("run.json", Path.mkdir), "run.json: Is a directory"),
    (replace("run.json", os.mkfifo), "run.json: it is not a file"),
    (replace("run.json", lambda path: None), "run.json: No such file or directory"),
    (replace("run.json", lambda path: path.symlink_to(path)), "Too many levels of symbolic links"),
    (damage("config.yaml", "a: [\n"), "config.yaml: line 2: "),
    (damage("config.yaml", "a: !!python/object:os.x {}\n"), "config.yaml: line 1 has a tag"),
    (damage("config.yaml", "a: &a [1]\nb: *a\n"), "config.yaml: line 1 has an anchor"),
    (replace("config.yaml", os.mkfifo), "config.yaml: it is not a file"),
    (replace("config.yaml", lambda path: None), "is not a run folder: it has no config.yaml"),
    (damage("metrics.jsonl", "[1]\n"), "metrics.jsonl: line 1: it is [1], not a mapping"),
    (damage("metrics.jsonl", '{"kimg": 1, "fd": "x"}\n'), "line 1: fd is 'x', not a number"),
    (damage("metrics.jsonl", '{"kimg": 1, "fd": 1' + "0" * 400 + "}\n"), "not a number"),
    (damage("metrics.jsonl", '{"kimg": \n{"kimg": 1}\n'), "line 1: it is not JSON"),
    (replace("metrics.jsonl", Path.mkdir), "metrics.jsonl: Is a directory"),
    (replace("metrics.jsonl", os.mkfifo), "metrics.jsonl: it is not a file"),
]


def listed(folder: Path, **settings: Any) -> tuple[list[str], str]:
    """Names of the runs in their order, and the table."""
    console = Console(width=1000, record=True)
    defaults = {"folders": [str(folder)], "where": [], "sort": "started", "columns": []}
    config = OmegaConf.create({**defaults, "limit": 50, **settings})
    entries = list_runs(config, console)
    return [entry.run.path.name for entry in entries], console.export_text()


@pytest.mark.parametrize(("spoil", "why"), DAMAGES, ids=range(len(DAMAGES)))
def test_a_damaged_run_is_a_row_that_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], object], why: str
) -> None:
    make_run(tmp_path / "good", day=2)
    bad = make_run(tmp_path / "bad")
    (bad.path / "evaluations").mkdir()
    spoil(bad.path)
    names, table = listed(tmp_path)
    assert names == ["good", "bad"]
    (row,) = [line for line in table.splitlines() if "unreadable" in line]
    assert row.strip().startswith("unreadable: ") and row.strip().endswith(str(bad.path))
    assert why in row
    assert "1 of 2 runs cannot be read" in capsys.readouterr().out
    entries = read_entries([tmp_path])
    write_page(tmp_path / "page.html", entries)
    page = (tmp_path / "page.html").read_text()
    assert page.count('"unreadable":') == 2 and page.count('"unreadable":true') == 1
    assert entries[1].problem is not None and why in entries[1].problem


def test_bad_rows_match_no_condition_and_come_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for day in (1, 2, 3):
        make_run(tmp_path / f"run{day}", day)
    for name in ("bad1", "bad2"):
        make_run(tmp_path / name, 2)
        damage("run.json", "")(tmp_path / name)
    runs, bad = ["run1", "run2", "run3"], ["bad1", "bad2"]
    assert listed(tmp_path)[0] == [*runs, *bad]
    assert listed(tmp_path, sort="-started")[0] == [*runs[::-1], *bad]
    assert listed(tmp_path, sort="-fd")[0] == [*runs[::-1], *bad]
    assert listed(tmp_path, where=["seed>=2"])[0] == runs[1:]
    assert listed(tmp_path, where=["fd<30"], sort="fd")[0] == runs[:2]
    assert listed(tmp_path, where=["status==unreadable"])[0] == bad
    assert listed(tmp_path, where=["status!=done"], sort="status")[0] == bad
    capsys.readouterr()
    assert listed(tmp_path, limit=2)[0] == runs[1:]
    out = capsys.readouterr().out
    assert "2 of 5 runs: limit=null shows all" in out and "2 of 5 runs cannot be read" in out
    assert listed(tmp_path, limit=4)[0] == [*runs, "bad1"]
    assert listed(tmp_path, limit=2, sort="-seed")[0] == ["run3", "run2"]
    assert listed(tmp_path, limit=None)[0] == [*runs, *bad]


def test_what_a_run_says_is_no_command_for_the_terminal(tmp_path: Path) -> None:
    make_run(tmp_path / "[red]x[/blue]", note="\x1b[31m[bold]\udcff")
    _, table = listed(tmp_path, columns=["note"])
    assert r"\x1b[31m[bold]\udcff" in table and "[red]x[/blue]" in table and "\x1b" not in table


def test_metrics_may_have_any_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2):
        run = make_run(tmp_path / f"run{number}")
        run.append_metrics({"kimg": 3, "tick": 3, "[/b]\x1b[2J": 1.0})
        run.update_facts(protocols={"[/b]\x1b[2J": {"n": number}})
    assert r"[/b]\x1b[2J" in listed(tmp_path)[1]
    assert r"[/b]\x1b[2J: 2 protocols" in capsys.readouterr().out


def test_links_are_followed_and_no_run_is_there_twice(tmp_path: Path) -> None:
    disk, outputs = tmp_path / "disk", tmp_path / "outputs"
    for name in ("a/one", "a/two"):
        make_run(outputs / name)
    make_run(disk / "three")
    (outputs / "0 link").symlink_to(outputs / "a" / "one")
    (outputs / "far").symlink_to(disk)
    (outputs / "again").symlink_to(disk / "three")
    (outputs / "a" / "up").symlink_to(outputs)
    (outputs / "self").symlink_to("self")
    (outputs / "nothing").symlink_to("none")
    (outputs / "a" / "one" / "samples").mkdir()
    shutil.copy(outputs / "a/one/run.json", outputs / "a/one/samples")
    (outputs / ".hidden").symlink_to(disk)
    found = sorted(find_folders(outputs))
    assert found == [outputs / "a/one", outputs / "a/two", outputs / "again"]
    assert len(read_entries([outputs, outputs / "far", outputs / "0 link"])) == 3
    assert [run.path for run in find_runs(outputs / "0 link")] == [outputs / "0 link"]


def test_the_newest_run_is_found_beside_a_damaged_one(tmp_path: Path) -> None:
    for day, name in ((3, "a"), (1, "b"), (2, "c")):
        make_run(tmp_path / name, day)
    damage("run.json", "[]")(tmp_path / "c")
    assert [run.path.name for run in find_runs(tmp_path)] == ["c", "b", "a"]


def test_many_runs_are_read_by_several_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(1, 6):
        make_run(tmp_path / f"run{day}", day)
    damage("config.yaml", "")(tmp_path / "run3")
    alone = [(e.label, e.problem, e.best("fd")) for e in read_entries([tmp_path])]
    monkeypatch.setattr(collect, "_MANY", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    assert [(e.label, e.problem, e.best("fd")) for e in read_entries([tmp_path])] == alone


def test_a_run_that_is_deleted_meanwhile_is_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    make_run(tmp_path / "run")
    monkeypatch.setattr(collect, "find_folders", lambda path: [*find_folders(path), gone])
    assert [entry.run.path.name for entry in read_entries([tmp_path])] == ["run"]


PICTURES = [b"", b"\x89PNG torn", b"\x89PNG\r\n\x1a\n" + bytes(40), "cut", "huge", "folder", "pipe"]


@pytest.mark.parametrize("content", PICTURES, ids=range(len(PICTURES)))
def test_damaged_pictures_and_cards_are_shown_as_such(tmp_path: Path, content: bytes | str) -> None:
    run = make_run(tmp_path / "run")
    for folder in ("samples", "evaluations"):
        (run.path / folder).mkdir()
    picture = run.path / "samples" / "00001.000.png"
    Image.effect_noise((64, 64), 80).save(run.path / "samples" / "00002.000.png")
    for name in ("1e5.png", "12.3.4.png", "9x.png", "real.png", "²³.png"):
        (run.path / "samples" / name).write_bytes(b"no grid")
    if content == "cut":
        picture.write_bytes((run.path / "samples" / "00002.000.png").read_bytes()[:900])
    elif content == "huge":  # 10,000 by 10,000 pixels in 12 KB
        Image.new("1", (10_000, 10_000)).save(picture)
    elif content == "folder":
        picture.mkdir()
    elif content == "pipe":
        os.mkfifo(picture)
    elif isinstance(content, bytes):
        picture.write_bytes(content)
    for name, text in (("a", "[1]"), ("b", "{"), ("c", '{"values": {"fd": 3}}'), ("d", "{}" * 9)):
        (run.path / "evaluations" / f"{name}.json").write_text(text)
    os.mkfifo(run.path / "evaluations" / "e.json")
    write_page(tmp_path / "page.html", read_entries([tmp_path]))
    page = (tmp_path / "page.html").read_text()
    assert page.count("unreadable: it is") == 4 and r"\"fd\": 3" in page
    assert page.count("data:image/webp") == 2  # the damaged one is a gray picture
