"""A folder that is moved is the same, and one that is copied is another."""

import json
import shutil
from itertools import permutations
from pathlib import Path

import pytest

from trompe.runs.identity import new_identity, settled


def make(path: Path) -> str:
    path.mkdir()
    known = new_identity(path, path)
    (path / "record").write_text(json.dumps(known))
    return known["id"]


def id_at(path: Path) -> str | None:
    file = path / "record"
    return json.loads(file.read_text())["id"] if file.exists() else None


def use(path: Path) -> str:
    """Open it as a session does; the id it has from then on."""
    record = json.loads((path / "record").read_text())
    identity = settled(path, record, id_at)
    (path / "record").write_text(json.dumps({**record, **identity}))
    return identity["id"]


@pytest.mark.parametrize("order", list(permutations(["moved", "copy", "another"])))
@pytest.mark.parametrize("first", ["move", "copy"])
def test_a_copy_is_another_whichever_is_used_first(tmp_path: Path, first, order) -> None:
    known = make(tmp_path / "a")
    if first == "copy":
        shutil.copytree(tmp_path / "a", tmp_path / "copy")
    (tmp_path / "a").rename(tmp_path / "moved")
    if first == "move":
        shutil.copytree(tmp_path / "moved", tmp_path / "copy")
    shutil.copytree(tmp_path / "moved", tmp_path / "another")
    ids = {name: use(tmp_path / name) for name in order}
    assert ids["moved"] == known and len(set(ids.values())) == 3
    assert {name: use(tmp_path / name) for name in order} == ids
    assert "copy_of" in (tmp_path / "copy" / "record").read_text()


def test_a_copy_of_what_was_moved_is_another_where_its_place_is_taken(tmp_path: Path) -> None:
    known = make(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    shutil.copytree(tmp_path / "b", tmp_path / "c")
    make(tmp_path / "a")
    assert use(tmp_path / "c") != known == use(tmp_path / "b")


@pytest.mark.parametrize("change", [{"disk": 1}, {"disk": None, "inode": None}])
def test_what_comes_from_another_disk_or_an_older_version_is_the_same(tmp_path, change) -> None:
    known = make(tmp_path / "a")
    record = json.loads((tmp_path / "a" / "record").read_text()) | change
    kept = {key: value for key, value in record.items() if value is not None}
    (tmp_path / "a" / "record").write_text(json.dumps(kept))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    shutil.rmtree(tmp_path / "a")
    assert use(tmp_path / "b") == known
    (tmp_path / "b").rename(tmp_path / "c")
    assert use(tmp_path / "c") == known


def test_what_was_restored_in_its_place_is_the_same(tmp_path: Path) -> None:
    known = make(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "backup")
    shutil.rmtree(tmp_path / "a")
    shutil.copytree(tmp_path / "backup", tmp_path / "a")
    assert use(tmp_path / "a") == known != use(tmp_path / "backup")
