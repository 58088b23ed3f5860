"""Where modules are found."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trompe.search_path import pin


@pytest.fixture
def search_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["/bin", "rel"])
    monkeypatch.setenv("PYTHONPATH", ":rel")
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    yield sys.path


@pytest.mark.parametrize(
    ("arguments", "own"),
    [
        (["train"], False),
        (["train", "--config-dir", "my_conf"], True),
        (["train", "--config-dir=my_conf"], True),
        (["sample", "trust=true"], True),
        (["sample", "trust=false"], False),
    ],
)
def test_code_of_ones_own_is_found_in_the_current_folder(
    arguments: list[str], own: bool, search_path: list[str], tmp_path: Path
) -> None:
    os.environ["PYTHONPATH"] = "rel"
    pin(arguments)
    here, rel = str(tmp_path), str(tmp_path / "rel")
    assert search_path == ["/bin", rel, *([here] if own else [])]
    assert os.environ["PYTHONPATH"].split(":") == [rel, *([here] if own else [])]


def test_a_safe_process_does_not_look_in_its_folder(
    search_path: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    os.environ["PYTHONPATH"] = "/x"
    pin(["train", "--config-dir", "my_conf", "trust=true"])
    assert str(tmp_path) not in search_path and os.environ["PYTHONPATH"] == "/x"
