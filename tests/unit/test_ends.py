"""How commands end: without memory, by a signal, with a value that has commas."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from trompe import cli
from trompe.errors import is_out_of_memory


def test_missing_memory_is_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**60)
    assert is_out_of_memory(error.value) and is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("shapes")) and not is_out_of_memory(ValueError())


def test_missing_memory_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from trompe.commands import note

    monkeypatch.setattr(note, "main", lambda words: torch.empty(2**60))
    assert cli._main(["note", "x"]) == 2
    assert capsys.readouterr().err.startswith("trompe: there is not enough memory: ")


def test_a_value_with_commas_is_told_as_it_was_typed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli._main(["stylize", "content=cm/Bild, neu.jpg", "style=t.jpg"]) == 2
    said = capsys.readouterr().err
    assert "content=cm/Bild, neu.jpg has several values" in said
    assert """type "content='cm/Bild, neu.jpg'",""" in said


def test_sigterm_ends_as_ctrl_c_does_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from trompe import cli
from trompe.commands import note
from trompe.files import whole_file

def write(words):
    with whole_file(Path(words[0])) as file:
        file.write("half")
        os.kill(os.getpid(), signal.SIGTERM)

note.main = write
sys.exit(cli._main(["note", sys.argv[1]]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "x.txt")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (128 + signal.SIGINT, "trompe: interrupted\n")
    assert list(tmp_path.iterdir()) == []
