"""The comparison page in a real browser."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import optuna
import pytest
from PIL import Image

from trompe.report.collect import read_entries
from trompe.report.page import write_page
from trompe.runs.run_folder import RunFolder

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next((found for name in BROWSERS if (found := shutil.which(name))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")

# Runs in the page as a user would act, and leaves what it saw in the document.
ACT = """
const errors = [];
window.addEventListener("error", (event) => errors.push(String(event.message)));
window.addEventListener("load", () => {
  const cells = (n) => [...document.querySelectorAll("#runs tbody tr")]
    .map((r) => r.cells[n].textContent);
  const button = (text) => [...document.querySelectorAll("#runs thead button")]
    .find((b) => b.textContent.startsWith(text));
  const column = (text) => button(text).closest("th").cellIndex;
  const alts = () => [...document.querySelectorAll("#grids img")].map((i) => i.alt);
  const seen = { curves: document.querySelectorAll("#curve-plot .scatterlayer .trace").length };
  seen.parallel = document.querySelectorAll("#parallel .scatterlayer .trace").length;
  seen.bars = document.querySelectorAll("#importance .bars .point").length;
  button("fd_random_conv").focus();
  seen.focused = document.activeElement.textContent.trim();
  document.activeElement.click();
  seen.ascending = cells(column("fd_random_conv"));
  document.activeElement.click();
  seen.descending = cells(column("fd_random_conv"));
  seen.disabled = button("kd_random_conv").disabled;
  seen.refusals = [...document.querySelectorAll(".refusal")]
    .map((p) => p.textContent.replace(/\\s+/g, " "));
  seen.last = alts();
  const slider = document.getElementById("kimg");
  slider.value = 0;
  slider.dispatchEvent(new Event("input"));
  seen.first = alts();
  const boxes = document.querySelectorAll("#runs tbody input");
  boxes[0].click();
  seen.left = [alts().length, document.querySelectorAll("#curve-plot .scatterlayer .trace").length];
  const select = document.getElementById("curve-name");
  select.value = "loss/generator";
  select.dispatchEvent(new Event("change"));
  seen.title = document.querySelector("#curve-plot .ytitle").textContent;
  seen.wide = document.documentElement.scrollWidth > innerWidth;
  seen.requests = performance.getEntriesByType("resource")
    .map((e) => e.name).filter((n) => !n.startsWith("data:"));
  seen.errors = errors;
  const out = document.createElement("pre");
  out.id = "seen";
  out.textContent = JSON.stringify(seen);
  document.body.append(out);
});
"""


def make_run(
    folder: Path, number: int, ticks: int = 4, side: int = 64, **config: object
) -> RunFolder:
    run = RunFolder(folder / f"2026-01-01_00-00-{number:02d}_{number:06x}")
    protocol = {"measure": "fd", "better": "lower", "n_images": 100}
    other = {**protocol, "n_images": 100 if number else 200}
    facts = {
        "kimg": float(ticks),
        "protocols": {"fd_random_conv": protocol, "kd_random_conv": other},
        "sessions": [{"started": f"2026-01-01T00:{number:02d}:00+00:00"}],
    }
    run.create({"model": {"lr": 0.1 * number}, "seed": 0, **config}, [], facts)
    (run.path / "samples").mkdir()
    for tick in range(1, ticks + 1):
        record = {"kimg": tick, "tick": tick, "fd_random_conv": 100 / tick + 7 * (number % 3)}
        run.append_metrics({**record, "kd_random_conv": 1 / tick, "loss/generator": 0.5})
        grid = Image.effect_noise((side, side), 80).convert("RGB")
        grid.save(run.path / "samples" / f"{tick:09.3f}.png", compress_level=1)
    run.update_facts(status="done")
    return run


def make_study() -> optuna.Study:
    study = optuna.create_study()
    study.set_user_attr("objective", ["fd_random_conv"])
    for number in range(3):
        lr = {"lr": optuna.distributions.FloatDistribution(1e-5, 1, log=True)}
        trial = study.ask({**lr, "loss": optuna.distributions.CategoricalDistribution(["a", "b"])})
        study.tell(trial, float(number))
    return study


def open_page(page: Path, tmp_path: Path, width: int = 1200, script: str = ACT) -> tuple[dict, str]:
    """What `script` saw, and what the browser wrote on its console."""
    assert BROWSER is not None
    acted = page.with_name("acted.html")
    text = page.read_text()
    acted.write_text(text.replace("</title>", f"</title><script>{script}</script>", 1))
    flags = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
        *("--disable-background-networking", "--disable-component-update", "--dump-dom"),
        *(f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--v=0"),
        *(f"--window-size={width},2000", "--virtual-time-budget=20000"),
    ]
    done = subprocess.run(
        [BROWSER, *flags, acted.as_uri()], capture_output=True, text=True, timeout=120
    )
    found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    console = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    return json.loads(
        found[1].replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&")
    ), console


@needs_browser
@pytest.mark.parametrize("width", [1200, 500])
def test_the_page_in_a_browser(tmp_path, width):
    for number in range(3):
        make_run(tmp_path / "runs", number)
    page = tmp_path / "compare.html"
    write_page(page, read_entries([tmp_path / "runs"]), make_study())
    seen, console = open_page(page, tmp_path, width)
    assert seen["errors"] == [] and console == ""
    assert seen["requests"] == []
    assert (seen["curves"], seen["parallel"], seen["bars"]) == (3, 3, 2)
    assert seen["focused"].startswith("fd_random_conv")
    assert seen["ascending"] == ["25", "32", "39"]
    assert seen["descending"] == ["39", "32", "25"]
    assert seen["disabled"]
    (refusal,) = seen["refusals"]
    assert "kd_random_conv is not ranked" in refusal
    assert "n_images: A 200, B 100" in refusal
    assert len(seen["last"]) == 3 and all("at 4 kimg" in alt for alt in seen["last"])
    assert all("at 1 kimg" in alt for alt in seen["first"])
    assert seen["left"] == [2, 2]
    assert seen["title"] == "loss/generator"
    assert not seen["wide"], "the page is wider than the window"


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
    assert "&lt;img src=x" in text


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
    assert "unreadable: is not a run folder" in page.read_text()


def test_seeds_have_a_mean_and_an_interval(tmp_path):
    for number in range(3):
        make_run(tmp_path / "runs", number, model={"lr": 0.1}, seed=number)
    page = tmp_path / "compare.html"
    write_page(page, read_entries([tmp_path / "runs"]))
    # Of 25, 32 and 39: 4.303 (Student's t for two degrees of freedom) * 7 / sqrt(3).
    assert "32 ± 17" in page.read_text()
