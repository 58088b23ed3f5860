"""Long curves are drawn with few points, and none that would be seen is missing."""

import json
import math
import re
from pathlib import Path

import pytest

from trompe.report.collect import read_entries
from trompe.report.page import write_page
from trompe.runs.curve import Curve
from trompe.runs.run_folder import RunFolder


def drawn(values: list[float], most: int = 1000) -> list[tuple[float, float]]:
    curve = Curve()
    for x, y in enumerate(values):
        curve.add(x, y)
    assert curve.count == len(values)
    return curve.points(most)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 999, 1000])
def test_short_curves_are_whole(count: int) -> None:
    values = [math.sin(x) for x in range(count)]
    assert drawn(values) == list(enumerate(values))


@pytest.mark.parametrize("count", [1001, 1999, 2000, 2001, 3500, 50_000])
@pytest.mark.parametrize("most", [1000, 100, 1])
def test_long_curves_keep_ends_and_spikes(count: int, most: int) -> None:
    values = [math.sin(x / 700) for x in range(count)]
    spikes = {7: 50.0, count // 2: -50.0, count - 2: 9.0}
    for x, y in spikes.items():
        values[x] = y
    points = drawn(values, most)
    assert len(points) <= 2 * most + 2
    assert points == sorted(points) and set(points) <= set(enumerate(values))
    assert points[0] == (0, values[0]) and points[-1] == (count - 1, values[-1])
    kept = [spike for spike in spikes.items() if spike in points]
    assert len(kept) >= (3 if most > 1 else 2)


def test_every_stretch_keeps_its_extremes() -> None:
    values = [math.sin(x * x) for x in range(20_000)]
    points = drawn(values)
    for start in range(0, 20_000, 64):
        inside = [y for x, y in points if start <= x < start + 64]
        stretch = values[start : start + 64]
        assert min(inside) == min(stretch) and max(inside) == max(stretch)


def test_a_page_of_long_runs_is_small_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.create({}, [], {})
    names = [f"loss/{i}" for i in range(8)]
    with run.metrics_file.open("w") as file:
        for tick in range(10_000):
            row = {name: math.sin(tick * i) for i, name in enumerate(names, 1)}
            row["fd"] = -1234.56789 if tick == 5432 else 1.0
            file.write(json.dumps({"kimg": tick / 3, "tick": tick, **row}) + "\n")
    page = tmp_path / "page.html"
    write_page(page, read_entries([run.path]))
    text = page.read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])  # type: ignore[index]
    assert data["thinned"]
    assert len(json.dumps(data)) < 500_000
    assert (1810.67, -1234.57) in list(zip(*data["curves"]["fd"][0], strict=True))
    assert data["runs"][0]["best"]["fd"] == -1234.56789  # the table's value
    run.metrics_file.write_text('{"kimg": 1, "fd": 2.0}\n')
    write_page(page, read_entries([run.path]))
    assert '"thinned":false' in page.read_text()
