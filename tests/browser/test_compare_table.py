"""The table of the comparison page, its filter and its address, in a real browser."""

from tests.browser.test_compare import make_run, needs_browser, opened, three_runs
from tests.browser.test_compare_details import show_curves, write
from trompe.report.collect import read_entries
from trompe.report.page import write_page


@needs_browser
def test_groups_and_keys_have_their_colors_everywhere(tmp_path):
    for number in range(12):
        make_run(tmp_path / "runs", number, model={"lr": number // 2, "at": number}, seed=number)
    write_page(tmp_path / "compare.html", read_entries([tmp_path / "runs"]))
    with opened(tmp_path / "compare.html", tmp_path) as page:
        show_curves(page)
        page.run("setTo('group', 'model.lr')")
        swatches = (
            "[...document.querySelectorAll('#runs tbody .swatch')].map((s) => s.style.background)"
        )
        found = page.run(swatches)
        assert len(found) == 18 and len(set(found)) == 6
        assert all(len(set(found[n : n + 3])) == 1 for n in range(0, 18, 3))
        means = page.run("drawn().filter((l) => !l.faint).map((l) => colorOf(rows[0]) === l.color)")
        assert means[0]
        title = page.run("document.querySelector('#runs tr.group td.number').title")
        assert title == "95 % interval over seeds (Student's t)"
        page.run("setTo('group', ''); setTo('color', 'model.at')")
        assert page.run("byId('legend').textContent") == "at 0  11"
        page.run("setTo('color', '')")
        assert page.run("byId('legend').hidden")


@needs_browser
def test_a_phone_keeps_names_and_the_judging_metric(tmp_path):
    page_file = write(tmp_path, [3.0, 2.0], [4.0, 1.0], name_of="x" * 60)
    with opened(page_file, tmp_path, 390) as page:
        heads = page.run("[...document.querySelectorAll('#runs thead th')].map((h) => h.innerText)")
        assert heads[1] == "run" and heads[2].startswith("fd_random_conv")
        page.run("document.querySelector('#table .scroll').scrollLeft = 200")
        box = page.run(
            "(() => { const box = document.querySelector('#runs tbody th').getBoundingClientRect();"
            " return [box.left, box.width]; })()"
        )
        assert 0 <= box[0] < 20 and box[1] < 200
        page.run("document.querySelector('#grids .picture').click(); press('2')")
        assert page.run("byId('light').scrollWidth <= innerWidth")
        view = "document.querySelector('#light .view')"
        page.wait(f"document.querySelector('#light .stage').style.width && {view}.clientWidth > 0")
        assert page.run(f"{view}.scrollWidth <= {view}.clientWidth")
        sizes = page.run(
            "[...document.querySelectorAll('#light .bar button, #light .bar select')]"
            ".map((b) => b.getBoundingClientRect()).map((b) => [b.width, b.height])"
        )
        assert min(side for size in sizes for side in size) >= 36
        tops = page.run(
            "['button', '.close'].map((name) => document.querySelector(`#light .bar ${name}`))"
            ".map((b) => b.getBoundingClientRect().top)"
        )
        assert tops[0] == tops[1]


@needs_browser
def test_the_filter_has_spaces_quotes_and_whole_numbers(tmp_path):
    page_file = write(tmp_path, *([30.0 + n, 20.0 + n] for n in range(11)), trials=11)
    with opened(page_file, tmp_path) as page:
        page.run("const ids = () => rows.map((i) => data.runs[i].id).sort()")

        def found(text: str) -> list[str]:
            page.run(f"setTo('filter', {text!r})")
            ids: list[str] = page.run("ids()")
            return ids

        assert found("fd_random_conv < 22") == found("fd_random_conv<22") == ["trial 0", "trial 1"]
        assert found('id = "trial 1"') == ["trial 1"]
        assert found("status=done fd_random_conv >= 30") == ["trial 10"]
        assert found("trial 1") == ["trial 1"]
        assert found('"trial 1"') == ["trial 1"]
        assert len(found("tri")) == 11
        assert len(found("fd_random_conv<")) == 11
        assert page.run("byId('filter-note').textContent") == "fd_random_conv< needs a value"
        assert found("fd_random_conv< status==done") == page.run("ids()")
        assert page.run("byId('filter-note').textContent") == "fd_random_conv< needs a value"
        assert found("nothing-like-this") == []
        empty = "document.querySelector('#runs .empty')"
        assert page.run(f"{empty}.textContent.startsWith('no run matches')")
        page.run(f"{empty}.querySelector('button').click()")
        assert page.run("rows.length") == 11 and page.run("byId('filter').value") == ""
        assert page.run("/quotes/.test(byId('keys').textContent)")


@needs_browser
def test_an_address_with_unknown_names_is_repaired(tmp_path):
    with opened(three_runs(tmp_path), tmp_path) as page:
        page.run("location.hash = 'group=no&color=no&sort=-no&facet=no&curve=no&x=no&smooth=0.5'")
        page.wait("view.smooth === 0.5")
        keys = "['group', 'color', 'sort', 'facet', 'curve', 'x']"
        assert page.run(f"{keys}.every((key) => view[key] === DEFAULTS[key])")
        assert page.run("byId('group').value === '' && byId('x').value === 'kimg'")


@needs_browser
def test_a_sweep_is_named_by_what_it_varied(tmp_path):
    page_file = write(tmp_path, [30.0, 20.25], [31.0, 22.5], trials=2, title="sweep")
    with opened(page_file, tmp_path) as page:
        heading = page.run("byId('heading').textContent")
        assert heading.endswith(": lr, loss (2 trials)") and page.run("document.title") == heading
        assert page.run("byId('folder').textContent") == "sweep"
        # As many digits in all numbers of a column.
        assert page.run("cells('fd_random_conv')") == ["20.25", "22.50"]
        links = page.run("[...document.querySelectorAll('.controls nav a')].length")
        assert links == 6


@needs_browser
def test_the_crosshair_is_at_a_tick(tmp_path):
    with opened(write(tmp_path, [30.0, 20.0, 10.0]), tmp_path) as page:
        show_curves(page)
        page.run("sections.forEach(refresh); byId('curves').scrollIntoView()")
        frame = page.run(
            "(() => { const box = large().over.getBoundingClientRect();"
            " return [box.x, box.y, box.width, box.height]; })()"
        )
        x, y = frame[0] + 0.6 * frame[2], frame[1] + frame[3] / 2
        page.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        page.wait("!byId('tip').hidden")
        assert page.run("byId('tip').querySelector('p').textContent") == "kimg 2"
        # A part that is dragged begins and ends where the mouse does.
        page.drag((frame[0] + 0.3 * frame[2], y), (frame[0] + 0.7 * frame[2], y))
        page.wait("large().scales.x.min > 1.4 && large().scales.x.max < 2.6")
