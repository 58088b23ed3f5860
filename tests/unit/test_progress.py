"""The progress line: losses by name, what matters first, a rate that follows the present."""

import re
from types import SimpleNamespace
from typing import Any

import pytest

from trompe.callbacks.progress import Progress, fitting
from trompe.engine.clock import Clock


def clock(images: int) -> Clock:
    made = Clock(100, 1, 10)
    made.images = images
    return made


def tick(progress: Progress, capsys: pytest.CaptureFixture[str], **values: float) -> str:
    named = {name.replace("__", "/"): value for name, value in values.items()}
    record: Any = SimpleNamespace(values=named, monitor="fd")
    trainer: Any = SimpleNamespace(is_global_zero=True)
    method: Any = SimpleNamespace(clock=clock(1000))
    progress.on_tick_end(trainer, method, record)
    return capsys.readouterr().out.strip()


def test_losses_have_their_names_and_the_main_ones_are_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = Progress()
    progress._look(0.0, 0)
    losses = {"loss__gram": 1.5, "loss__identity": 0.0, "loss__generator": 2.25}
    line = tick(progress, capsys, **losses, loss__discriminator=0.5, fd=12.345678)
    assert re.search(r"left, fd 12\.35, discriminator 0\.50, generator 2\.25, gram 1\.50$", line)
    # A metric that this tick has not measured is still the latest.
    assert "fd 12.35" in tick(progress, capsys, loss__gram=1.0)


def test_the_rate_is_a_recent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = Progress()
    for second in range(0, 1001, 10):  # 10 images/s until 800 s, then 100
        images = min(second, 800) * 10 + max(second - 800, 0) * 100
        progress._look(float(second), images)
    monkeypatch.setattr("time.perf_counter", lambda: 1000.0)
    parts = progress._parts(clock(28_000))
    assert parts[:2] == ["100 images/s", "12:00 left"]


def test_a_line_holds_what_it_has_room_for() -> None:
    assert fitting(["abc", "defg", "h"], 13) == "abc, defg"
    assert fitting(["abc", "defg", "h"], 14) == "abc, defg, h"
    assert fitting(["abc"], 2) == ""
