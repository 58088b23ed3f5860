"""What the comparison page says about what it shows, in a real browser."""

from pathlib import Path

import pytest

from tests.browser.devtools import Page
from tests.browser.test_compare import make_run, make_study, needs_browser, opened, three_runs
from trompe.report.collect import read_entries
from trompe.report.page import write_page

# Of the large chart: the labels of an axis, and how far apart they stand, in pixels.
LABELS = """
const large = () => charts.get(byId("curve-large"));
const labels = (chart, n) => chart.axes[n]._values.filter(Boolean);
const gaps = (chart, n) => {
  const places = chart.axes[n]._splits.map((v) => chart.valToPos(v, n ? "y" : "x"));
  return places.slice(1).map((place, k) => Math.abs(place - places[k]));
};
const notes = (id) => [...document.querySelectorAll(`#${id} .note`)].map((p) => p.textContent);
"""


def show_curves(page: Page) -> None:
    page.run(LABELS)
    page.run("byId('curves').scrollIntoView()")
    page.wait("charts.has(byId('curve-large'))")


def write(
    tmp_path: Path, *curves: list[float], trials: int = 0, title: str = "Runs", **config: object
) -> Path:
    """A page of runs with these values of `wave`, as trials of a sweep or not."""
    for number, values in enumerate(curves):
        folder = tmp_path / ("sweep/trials" if trials else "runs")
        run = make_run(
            folder / str(number) if trials else folder, number, ticks=len(values), **config
        )
        lines = run.path / "metrics.jsonl"
        lines.unlink()
        for tick, value in enumerate(values, 1):
            run.append_metrics({"kimg": tick, "tick": tick, "fd_random_conv": value})
        if not number:
            run.update_facts(best={"kimg": 1.0}, sessions=[{"from_kimg": 2.0}])
    page = tmp_path / "compare.html"
    entries = read_entries([tmp_path / ("sweep" if trials else "runs")])
    write_page(page, entries, make_study(trials) if trials else None, title)
    return page


@needs_browser
def test_a_log_axis_says_what_it_cannot_show(tmp_path):
    page_file = write(tmp_path, [4.0, -1.0, 4.0], [1e3, 1e2, 1.0], [5.0, 0.0, 3.0])
    with opened(page_file, tmp_path) as page:
        show_curves(page)
        assert page.run("notes('curve-large')") == []
        page.run("byId('log-y').click()")
        said = "2 runs have values of 0 or less, which a log axis cannot show"
        assert page.run("notes('curve-large')") == [said]
        pieces = page.run("drawn().map((line) => piecesOf(line, false, true))")
        assert sorted(pieces) == [[[0], [2]], [[0], [2]], [[0, 1, 2]]]
    (tmp_path / "all").mkdir()
    page_file = write(tmp_path / "all", [-4.0, -1.0], [0.0, -2.0])
    with opened(page_file, tmp_path / "all") as page:
        show_curves(page)
        page.run("byId('log-y').click()")
        assert page.run("notes('curve-large')") == ["no value is above 0: this axis is linear"]
        assert page.run("large().scales.y.distr") == 1


@needs_browser
@pytest.mark.parametrize("high", [3e1, 3e2, 1e4, 1e12])
def test_the_ticks_of_a_log_axis_keep_their_distance(tmp_path, high):
    page_file = write(tmp_path, [11.0, high], [30.0, 17.0])
    with opened(page_file, tmp_path) as page:
        show_curves(page)
        page.run("byId('log-y').click(); byId('log-x').click()")
        all_charts = "[...charts.values()]"
        counts = page.run(f"{all_charts}.map((chart) => labels(chart, 1).length)")
        assert len(counts) >= 2 and min(counts) >= 2
        assert page.run(f"Math.min(...{all_charts}.flatMap((chart) => gaps(chart, 1)))") >= 27.9
        assert page.run(f"Math.min(...{all_charts}.flatMap((chart) => gaps(chart, 0)))") >= 49.9
        # Every line of the grid has its label.
        assert page.run(f"{all_charts}.every((chart) => chart.axes[1]._values.every(Boolean))")


@needs_browser
def test_panels_share_their_ranges(tmp_path):
    for number in range(4):
        make_run(tmp_path / "runs", number, ticks=3 + number, model={"lr": number // 2})
    write_page(tmp_path / "compare.html", read_entries([tmp_path / "runs"]))
    with opened(tmp_path / "compare.html", tmp_path) as page:
        page.run("byId('curves').scrollIntoView()")
        page.run("setTo('facet', 'model.lr')")
        page.wait("document.querySelectorAll('#curve-large .plot').length === 2")
        ranges = page.run(
            "[...document.querySelectorAll('#curve-large .plot')].map((p) => charts.get(p).scales)"
            ".map(({x, y}) => [x.min, x.max, y.min, y.max])"
        )
        assert ranges[0] == ranges[1] and ranges[0][:2] == [1, 6]
        edges = page.run(
            "[byId('curve-large').getBoundingClientRect().bottom,"
            " byId('curve-small').getBoundingClientRect().top]"
        )
        assert edges[1] - edges[0] >= 12


@needs_browser
def test_marks_outliers_and_falls_are_explained(tmp_path):
    steady = [[50.0 + n, 40.0 + n, 30.0 + n] for n in range(4)]
    with opened(write(tmp_path, *steady, [60.0, 20.0, 1e6]), tmp_path) as page:
        show_curves(page)
        said = page.run("byId('marks').textContent")
        assert said == "○ the best fd_random_conv of a run, | resumed"
        page.run("byId('crop').click()")
        assert page.run("notes('curve-large')") == ["1 run leaves the picture"]
        assert page.run("document.querySelector('#curve-large .note').title") == "000004"
        ends = page.run("drawn().map((line) => leavings(large(), line, false, false).length)")
        assert sorted(ends) == [0, 0, 0, 0, 1]
        cell = "document.querySelector('#runs tr[data-run=\"4\"] .fallen').closest('td')"
        assert page.run(f"{cell}.textContent") == "↗ now 1000000 20"
        assert page.run(f"{cell}.title") == "best at 2 kimg; 1e6 at the end (3 kimg)"
        assert page.run("document.querySelectorAll('#runs .fallen').length") == 1
        page.run("setTo('value', 'last')")
        assert page.run("document.querySelectorAll('#runs .fallen').length") == 0


@needs_browser
def test_the_sweep_says_what_is_chosen_and_what_is_drawn(tmp_path):
    page_file = write(tmp_path, *([30.0 + n, 20.0 + n] for n in range(8)), trials=8)
    with opened(page_file, tmp_path) as page:
        page.run("sections.forEach(refresh)")
        assert page.run("document.querySelectorAll('#importance .share').length") == 2
        assert page.run("document.querySelector('#importance .share').textContent").startswith("l")
        page.run("document.querySelector('#runs tbody input').click(); sections.forEach(refresh)")
        assert page.run("byId('count').textContent").startswith("8 runs, 7 drawn")
        assert page.run("document.querySelectorAll('#parallel .trial.off').length") == 1
        assert page.run("document.querySelectorAll('#history .point.off').length") == 1
        page.run("update({brush: 'fd_random_conv:-0.010:0.500;loss:0.980:0.990'})")
        chips = page.run("[...document.querySelectorAll('#chips button')].map((b) => b.innerText)")
        assert chips == ["loss b ✕", "fd_random_conv 0 to 3.5 ✕"]
        # The end of an axis of choices is hard to hit.
        near = page.run("chosenTrials().map((trial) => trial.number)")
        assert near == page.run(
            "data.sweep.trials.filter((t) => t.number < 4 && t.parameters[1] === 'b')"
            ".map((trial) => trial.number)"
        )
        page.run("document.querySelector('#chips button').click()")
        assert page.run("view.brush") == "fd_random_conv:-0.010:0.500"
        page.run("document.querySelector('#chips button').click()")
        assert page.run("view.brush") == "" and page.run("byId('chips').children.length") == 0
        page.run("sections.forEach(refresh)")
        axis = "document.querySelector('[data-axis=lr] .hit')"
        page.run(f"{axis}.dispatchEvent(new PointerEvent('pointerup', {{clientY: 40}}))")
        page.run(f"{axis}.dispatchEvent(new PointerEvent('pointercancel'))")
        assert page.run("view.brush") == ""


@needs_browser
def test_the_charts_of_a_sweep_have_round_ticks_and_names(tmp_path):
    page_file = write(tmp_path, *([30.0 + n, 20.0 + n] for n in range(8)), trials=8)
    with opened(page_file, tmp_path) as page:
        page.run("data.sweep.trials[7].values[0] = 1e6; sections.forEach(refresh)")
        assert (
            page.run("document.querySelector('#history .y-title').textContent") == "fd_random_conv"
        )
        page.run("byId('crop').click(); sections.forEach(refresh)")
        ticks = page.run(
            "[...document.querySelectorAll('#history .y-tick')].map((t) => t.textContent)"
        )
        assert ticks == ["0", "2", "4", "6"]
        assert page.run("document.querySelectorAll('#history .point.out').length") == 1
        widths = page.run(
            "['#history svg', '#history'].map((name) => document.querySelector(name).clientWidth)"
        )
        assert widths[0] == widths[1]
        texts = page.run(
            "[...document.querySelectorAll('#parallel [data-axis=lr] .tick')]"
            ".map((t) => Number(Number(t.textContent).toPrecision(2)) === Number(t.textContent))"
        )
        assert texts == [True] * 5
        assert (
            page.run("getComputedStyle(document.querySelector('#parallel .tick')).paintOrder")
            == "stroke"
        )


@needs_browser
def test_pictures_are_named_for_what_they_show(tmp_path):
    page_file = three_runs(tmp_path)
    with opened(page_file, tmp_path) as page:
        page.run("byId('samples').scrollIntoView()")
        page.wait("document.querySelectorAll('#grids .picture').length === 3")
        page.run(
            "data.grids[0].unshift([0, data.grids[0][0][1]]); data.reals = [data.grids[0][0][1]];"
            "data.credits = ['cats, CC BY 4.0']; data.real = [0, 0, 0];"
            "byId('film').click(); setTo('kimg', 0)"
        )
        films = page.run("[...byId('grids').children].map((f) => f.textContent)")
        assert films[0] == "real images cats, CC\u00a0BY\u00a04.0"
        assert films[1].count("kimg") == 5 and "best fd_random_conv 25" in films[1]
        assert "0 kimg" not in films[1]
        page.run("document.querySelector('#grids .film .picture').click(); press('2')")
        assert page.run("document.querySelector('#light .legend').textContent").startswith("left: ")
        pressed = "document.querySelector('#light [aria-pressed=true]')"
        free = "document.querySelector('#light [aria-pressed=false]')"
        backs = page.run(f"[{pressed}, {free}].map((b) => getComputedStyle(b).backgroundColor)")
        assert backs[0] != backs[1]
        assert "difference \u00d74" in page.run("document.querySelector('#light .bar').textContent")
