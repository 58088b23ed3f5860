"""Where there is no terminal, long work tells how far it is in lines."""

import time

import pytest

from trompe.bars import Bar


def test_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A line each time that the interval has passed, and nothing at the end."""
    with Bar(total=4, desc="decoding", unit="image", every_seconds=0.05, mininterval=0) as bar:
        for _ in range(4):
            time.sleep(0.06)
            bar.update()
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines] == [
        f"decoding {n}/4 images" for n in (1, 2, 3, 4)
    ]
    assert lines[1].endswith("left")


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Before the first interval has passed there is no line."""
    assert list(Bar(range(100), "looking")) == list(range(100))
    assert capsys.readouterr().err == ""
