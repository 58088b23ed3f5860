"""The comparison page in a real browser."""

import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import optuna
import pytest
from PIL import Image

from tests.browser.devtools import Page
from trompe.report.collect import read_entries
from trompe.report.page import write_page
from trompe.runs.run_folder import RunFolder

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next((found for name in BROWSERS if (found := shutil.which(name))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")


@cache
def noise(side: int) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((side, side), 80).convert("RGB").save(file, "PNG", compress_level=1)
    return file.getvalue()


def make_run(
    folder: Path, number: int, ticks: int = 4, side: int = 64, **config: object
) -> RunFolder:
    run = RunFolder(folder / f"2026-01-01_00-00-{number:02d}_{number:06x}")
    protocol = {"measure": "fd", "better": "lower", "n_images": 100}
    other = {**protocol, "n_images": 100 if number else 200}
    facts = {
        "kimg": float(ticks),
        "protocols": {"fd_random_conv": protocol, "kd_random_conv": other},
        "sessions": [{"started": f"2026-01-01T{number // 60:02d}:{number % 60:02d}:00+00:00"}],
    }
    run.create({"model": {"lr": 0.1 * number}, "seed": 0, **config}, [], facts)
    (run.path / "samples").mkdir()
    for tick in range(1, ticks + 1):
        record = {"kimg": tick, "tick": tick, "fd_random_conv": 100 / tick + 7 * (number % 3)}
        run.append_metrics({**record, "kd_random_conv": 1 / tick, "loss/generator": 0.5})
        (run.path / "samples" / f"{tick:09.3f}.png").write_bytes(noise(side))
    run.update_facts(status="done")
    return run


def make_study(trials: int = 3) -> optuna.Study:
    study = optuna.create_study()
    study.set_user_attr("objective", ["fd_random_conv"])
    for number in range(trials):
        lr = {"lr": optuna.distributions.FloatDistribution(1e-5, 1, log=True)}
        trial = study.ask({**lr, "loss": optuna.distributions.CategoricalDistribution(["a", "b"])})
        study.tell(trial, float(number))
    return study


@contextmanager
def opened(page: Path, tmp_path: Path, width: int = 1280) -> Iterator[Page]:
    """The page in a browser; at the end nothing was fetched, and nothing was complained about."""
    assert BROWSER is not None
    with Page(BROWSER, page, tmp_path / "profile", (width, 2000)) as seen:
        seen.wait("document.readyState === 'complete' && rows.length > 0")
        seen.run(HELP)
        yield seen
        assert seen.complaints == []
        assert [r for r in seen.requests if not r.startswith(("data:", "file:", "blob:"))] == []
        assert not seen.run("document.documentElement.scrollWidth > innerWidth"), "too wide"


# What the tests look at, and how they act.
HELP = """
const button = (text) => [...document.querySelectorAll("#runs thead button")]
  .find((b) => b.textContent.startsWith(text));
const cells = (text) => [...document.querySelectorAll("#runs tbody tr[data-run]")]
  .map((row) => row.cells[button(text).closest("th").cellIndex].textContent);
const alts = () => [...document.querySelectorAll("#grids img")].map((image) => image.alt);
const drawn = () => charts.get(byId("curve-large")).lines;
const press = (key, more = {}) => document.activeElement.dispatchEvent(
  new KeyboardEvent("keydown", { key, bubbles: true, ...more }));
const setTo = (id, value) => {
  byId(id).value = value;
  byId(id).dispatchEvent(new Event(byId(id).tagName === "SELECT" ? "change" : "input"));
};
"""


def three_runs(tmp_path: Path) -> Path:
    for number in range(3):
        make_run(tmp_path / "runs", number)
    page = tmp_path / "compare.html"
    write_page(page, read_entries([tmp_path / "runs"]), make_study())
    return page


@needs_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_in_a_browser(tmp_path, width):
    with opened(three_runs(tmp_path), tmp_path, width) as page:
        for section in ("curves", "samples", "sweep"):
            page.run(f"byId('{section}').scrollIntoView()")
            page.wait(f"!sections.find((s) => s.id === '{section}').stale")
        assert page.run("drawn().filter((line) => line.xs.length).length") == 3
        assert page.run("document.querySelectorAll('#parallel .trial').length") == 3
        assert page.run("document.querySelectorAll('#importance .share').length") == 0
        assert page.run("byId('importance').textContent") == "too few trials to say"
        page.run("button('fd_random_conv').focus()")
        focused = page.run("document.activeElement.textContent.trim()")
        assert focused.startswith("fd_random_conv")
        assert page.run("cells('fd_random_conv')") == ["25", "32", "39"]  # the best is first
        page.run("document.activeElement.click()")
        assert page.run("cells('fd_random_conv')") == ["39", "32", "25"]
        assert page.run("document.activeElement.textContent.trim()") == focused
        page.run("document.activeElement.click()")
        assert page.run("cells('fd_random_conv')") == ["25", "32", "39"]
        assert page.run("button('kd_random_conv').disabled")
        (refusal,) = page.run(
            "[...document.querySelectorAll('.refusal')].map((p) => p.textContent)"
        )
        assert "kd_random_conv is not ranked" in refusal
        assert "n_images: A 200, B 100" in refusal
        last = page.run("alts()")
        assert len(last) == 3 and all("at 4 kimg" in alt for alt in last)
        page.run("setTo('kimg', 0)")
        assert all("at 1 kimg" in alt for alt in page.run("alts()"))
        page.run("document.querySelector('#runs tbody input').click()")
        assert page.run("alts().length") == 2
        assert page.run("drawn().length") == 2
        page.run("update({curve: 'loss/generator'})")
        assert page.run("byId('curve-name').textContent") == "loss/generator"


def test_fifty_runs_stay_below_15_mb(tmp_path):
    for number in range(50):
        make_run(tmp_path / "runs", number, ticks=16, side=256)
    page = tmp_path / "compare.html"
    write_page(page, read_entries([tmp_path / "runs"]))
    assert 5e6 < page.stat().st_size < 15e6


def test_what_runs_say_cannot_become_markup(tmp_path):
    make_run(tmp_path / "runs", 1, name_of="</script><script>alert(1)</script>")
    make_run(tmp_path / "runs", 2, name_of="<img src=x onerror=alert(2)>")
    page = tmp_path / "compare.html"
    write_page(page, read_entries([tmp_path / "runs"]))
    text = page.read_text()
    assert "<script>alert(1)" not in text and "<img src=x" not in text
    assert r"\u003cimg src=x" in text


def test_a_corrupt_line_a_torn_picture_and_a_deleted_run(tmp_path):
    runs = [make_run(tmp_path / "runs", number) for number in range(3)]
    with (runs[0].path / "metrics.jsonl").open("a") as file:
        file.write('{"kimg": 5, "fd_ran')
    (runs[1].path / "samples" / "00002.000.png").write_bytes(b"\x89PNG torn")
    (runs[2].path / "config.yaml").unlink()
    page = tmp_path / "compare.html"
    entries = read_entries([tmp_path / "runs"])
    write_page(page, entries)
    assert [entry.summary.ticks for entry in entries] == [4, 4, 0]
    assert [entry.problem for entry in entries[:2]] == [None, None]
    assert entries[2].problem == "is not a run folder: it has no config.yaml"
    assert '"error":"is not a run folder' in page.read_text()


@needs_browser
def test_seeds_have_a_mean_and_an_interval(tmp_path):
    for number in range(3):
        make_run(tmp_path / "runs", number, model={"lr": 0.1}, seed=number)
    write_page(tmp_path / "compare.html", read_entries([tmp_path / "runs"]))
    with opened(tmp_path / "compare.html", tmp_path) as page:
        page.run("setTo('group', 'seeds')")
        # Of 25, 32 and 39: 4.303 (Student's t for two degrees of freedom) * 7 / sqrt(3).
        assert "32 ± 17" in page.run("document.querySelector('#runs tr.group').textContent")


@needs_browser
def test_the_filter_takes_words_and_conditions(tmp_path):
    with opened(three_runs(tmp_path), tmp_path) as page:
        paths = "rows.map((i) => data.runs[i].label)"
        everyone = page.run(paths)
        page.run("setTo('filter', 'fd_random_conv<35 model.lr>0')")
        assert page.run(paths) == everyone[1:2]
        page.run("setTo('filter', 'lr==0.2')")  # by the end of the key
        assert page.run(paths) == everyone[2:]
        page.run(f"setTo('filter', '{everyone[2]}')")
        assert page.run(paths) == everyone[2:]
        page.run("setTo('filter', 'status!=done')")
        assert page.run(paths) == []
        page.run("setTo('filter', 'modle.lr==1')")
        assert page.run("byId('filter-note').textContent") == "no run has a modle.lr"
        assert page.run(paths) == everyone
        page.run("setTo('filter', 'kimg>much')")
        assert page.run("byId('filter-note').textContent") == "kimg is a number, much is not"


@needs_browser
def test_the_address_holds_the_view(tmp_path):
    page_file = three_runs(tmp_path)
    with opened(page_file, tmp_path) as page:
        page.run("setTo('filter', 'model.lr>0'); setTo('color', 'model.lr'); setTo('value', 'at')")
        page.run("setTo('at', 2); setTo('x', 'minutes'); setTo('smooth', 0.5)")
        page.run("button('fd_random_conv').click(); byId('log-y').click()")
        page.run("document.querySelector('#runs tbody input').click()")
        page.run("update({light: lightKey({a: 2, kimg: 3, mode: 'swipe', b: 1})})")
        before = page.run("JSON.stringify(view)")
        address = page.run("location.href")
        page.run("update(DEFAULTS)")
        assert "#" not in page.run("location.href")
        page.run(f"location.href = {json.dumps(address)}")
        page.wait(f"JSON.stringify(view) === {json.dumps(before)}")
        assert page.run("byId('filter').value") == "model.lr>0"
        assert page.run("byId('light').open")
        assert page.run("cells('fd_random_conv')") == ["64", "57"]
        assert page.run("shown.length") == 1


@needs_browser
def test_a_run_that_diverges_need_not_flatten_the_others(tmp_path):
    for number in range(4):
        make_run(tmp_path / "runs", number)
    make_run(tmp_path / "runs", 4).append_metrics({"kimg": 5, "tick": 5, "fd_random_conv": 1e6})
    page_file = tmp_path / "compare.html"
    write_page(page_file, read_entries([tmp_path / "runs"]))
    top = "charts.get(byId('curve-large')).scales.y.max"
    with opened(page_file, tmp_path) as page:
        page.run("byId('curves').scrollIntoView()")
        page.wait("charts.has(byId('curve-large'))")
        assert page.run(top) > 1e6
        page.run("byId('crop').click()")
        assert 57 < page.run(top) < 300
        assert "crop=true" in page.run("location.href")
        page.run("byId('log-y').click()")
        named = page.run("charts.get(byId('curve-large')).axes[1]._values.filter(Boolean)")
        # Less than 1.3 decades: the ticks of a linear axis.
        assert {"50", "100", "150", "200"} <= set(named) <= {"50", "100", "150", "200", "250"}


@needs_browser
def test_two_pictures_are_swiped_and_subtracted_by_keys(tmp_path):
    page_file = three_runs(tmp_path)
    (black, white) = (Image.new("RGB", (8, 8), value) for value in ((0, 0, 0), (30, 0, 0)))
    for number, picture in ((0, black), (1, white)):
        folder = next((tmp_path / "runs").glob(f"*_{number:06x}"))
        picture.save(folder / "samples" / "00004.000.png")
    write_page(page_file, read_entries([tmp_path / "runs"]))
    with opened(page_file, tmp_path) as page:
        page.run("byId('samples').scrollIntoView()")
        page.wait("document.querySelectorAll('#grids .picture').length === 3")
        page.run("document.querySelector('#grids .picture').click()")
        assert page.run("byId('light').open")
        page.run("press('ArrowLeft')")
        assert page.run("light.kimg") == 3
        page.run("press('ArrowRight'); press('2')")
        assert page.run("document.querySelectorAll('#light .swipe img').length") == 2
        page.run("document.querySelector('.handle').focus(); press('ArrowRight')")
        assert page.run("document.querySelector('.handle').getAttribute('aria-valuenow')") == "52"
        page.run("press('4')")
        page.wait("document.querySelector('#light canvas') !== null")
        canvas = "document.querySelector('#light canvas').getContext('2d')"
        red, green = page.run(f"[...{canvas}.getImageData(4, 4, 1, 1).data]")[:2]
        assert abs(red - 120) <= 16 and green <= 16  # four times 30, as WebP keeps it
        page.run("press('ArrowDown', {shiftKey: true})")
        assert page.run("light.b") == 2
        page.run("press('ArrowDown')")
        assert page.run("light.a") == 1
        page.run("press('3')")
        assert page.run("light.mode") == "blink"
        page.run("byId('light').close()")
        page.wait("view.light === ''")


@needs_browser
def test_a_part_of_an_axis_chooses_trials_everywhere(tmp_path):
    study = make_study()
    for number in range(3):
        make_run(tmp_path / "sweep" / "trials" / str(number), number)
    page_file = tmp_path / "compare.html"
    write_page(page_file, read_entries([tmp_path / "sweep"]), study)
    with opened(page_file, tmp_path) as page:
        page.run("sections.forEach(refresh)")  # nothing above moves any more
        page.run("byId('sweep').scrollIntoView()")
        frame = page.run(
            "(() => { const box = document.querySelector('[data-axis=fd_random_conv] .hit')"
            ".getBoundingClientRect(); return [box.x + 16, box.y, box.height]; })()"
        )
        x, top, tall = frame
        page.drag((x, top + tall - 2), (x, top + tall * 0.7))  # the lowest objective
        assert page.run("rows.map((i) => data.runs[i].id)") == ["trial 0"]
        assert page.run("document.querySelectorAll('#runs tbody tr').length") == 1
        assert page.run("document.querySelectorAll('#parallel .trial.off').length") == 2
        page.drag((x, top + tall * 0.5), (x, top + tall * 0.5))
        assert page.run("rows.length") == 3


@needs_browser
def test_curves_are_smoothed_grouped_and_split(tmp_path):
    for number in range(4):
        make_run(tmp_path / "runs", number, model={"lr": number // 2}, seed=number % 2)
    write_page(tmp_path / "compare.html", read_entries([tmp_path / "runs"]))
    with opened(tmp_path / "compare.html", tmp_path) as page:
        page.run("byId('curves').scrollIntoView()")
        page.wait("charts.has(byId('curve-large'))")
        page.run("setTo('smooth', 0.9)")
        assert page.run("drawn().filter((line) => line.faint).length") == 4
        # After 100, 50: (0.09 * 100 + 0.1 * 50) / 0.19.
        second = page.run("drawn().filter((line) => !line.faint)[0].ys[1]")
        assert second == pytest.approx((0.09 * 100 + 0.1 * 50) / 0.19)
        page.run("setTo('smooth', 0); setTo('group', 'seeds')")
        means = page.run("drawn().filter((line) => !line.faint).map((l) => [l.ys[3], l.low[3]])")
        # Of 25 and 32, of 39 and 25: 12.706 (one degree of freedom) * 3.5 and 7.
        assert means == [
            [pytest.approx(28.5), pytest.approx(28.5 - 12.706 * 3.5)],
            [pytest.approx(32), pytest.approx(32 - 12.706 * 7)],
        ]
        page.run("setTo('group', ''); setTo('facet', 'model.lr')")
        assert page.run("document.querySelectorAll('#curve-large figure').length") == 2


@needs_browser
def test_five_hundred_runs_fit_in_25_mb_and_open(tmp_path):
    for number in range(500):
        make_run(tmp_path / "runs", number, side=96, name_of=str(number % 7))
    page_file = tmp_path / "compare.html"
    write_page(page_file, read_entries([tmp_path / "runs"]))
    assert page_file.stat().st_size < 25e6
    with opened(page_file, tmp_path) as page:
        milliseconds = page.run("performance.now()")
        print(
            f"500 runs: {page_file.stat().st_size / 1e6:.1f} MB, open after {milliseconds:.0f} ms"
        )
        assert page.run("document.querySelectorAll('#runs tbody tr').length") == 500
        page.run("byId('curves').scrollIntoView()")
        page.wait("charts.size > 2 && drawn().length === 500")
