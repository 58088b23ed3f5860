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
        (["train", "model.loss=my_losses.cubic"], True),
        (["train", "model.loss=hinge,my_losses.cubic"], True),
        (["train", "metrics.efflite0.measures=[fd,my_package.spread]"], True),
        (["train", "model.loss=others.cubic"], False),
        (["train", "model.optimizer.lr=1.5e-3"], False),
        (["sample", "run=outputs/my_losses.x"], False),
        (["evaluate", "generated=my_losses"], False),
    ],
)
def test_code_of_ones_own_is_found_in_the_current_folder(
    arguments: list[str], own: bool, search_path: list[str], tmp_path: Path
) -> None:
    (tmp_path / "my_losses.py").touch()
    (tmp_path / "my_package").mkdir()
    os.environ["PYTHONPATH"] = "rel"
    pin(arguments)
    here, rel = str(tmp_path), str(tmp_path / "rel")
    assert search_path == ["/bin", rel, *([here] if own else [])]
    assert os.environ["PYTHONPATH"].split(":") == [rel, *([here] if own else [])]


@pytest.mark.parametrize("flag", [["--config-dir", "../my/conf"], ["-cd=../my/conf"]])
def test_code_beside_the_folder_of_configs_is_found_last(
    flag: list[str], search_path: list[str], tmp_path: Path
) -> None:
    os.environ["PYTHONPATH"] = ""
    pin(["train", *flag, "model=noisy"])
    assert search_path[2:] == [str(tmp_path), str(tmp_path.parent / "my")]
    assert os.environ["PYTHONPATH"].split(":") == search_path[2:]


def test_a_safe_process_does_not_look_in_its_folder(
    search_path: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    os.environ["PYTHONPATH"] = "/x"
    pin(["train", "--config-dir", "my_conf", "trust=true"])
    assert str(tmp_path) not in search_path and os.environ["PYTHONPATH"] == "/x"
