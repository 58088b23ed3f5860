"""The local dashboard in a real browser: names in words, over kimg, no charts of counts."""

import re
import signal
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

from tests.browser.devtools import Page
from tests.browser.test_compare import BROWSER, needs_browser
from tests.conftest import Trompe
from trompe.loggers.local import Local

NAMES = ["lr 2e-4, hinge, seed 1 · 1a2b3c", "trial 3: lr 1e-4 · 4d5e6f"]


def record(store: Path) -> None:
    store.parent.mkdir()
    grid = store.parent / "grid.png"
    Image.fromarray(np.full((4, 4, 3), 90, np.uint8)).save(grid)
    for name, group in zip(NAMES, ("dcgan_shapes", "sweep c0ffee"), strict=True):
        tracker = Local("trompe", name, store.parent, store=store)
        tracker.sort_under(group, ["dcgan", "shapes"])
        tracker.log_config({"seed": 1})
        for tick in range(1, 5):
            values = {"loss/generator": 1 / tick, "speed/images_per_second": 100.0, "tick": tick}
            tracker.log_record(values, 0.25 * tick)
            tracker.log_images("samples", grid, 0.25 * tick)
        tracker.close("done")


@needs_browser
def test_the_dashboard_shows_names_over_kimg(trompe: Trompe, tmp_path: Path) -> None:
    assert BROWSER is not None
    record(trompe.outputs / "trackio")
    server = trompe.start_afresh("dashboard", BROWSER="true")
    assert server.stdout is not None
    try:
        found = re.search(r"http://\S+", server.stdout.readline())
        assert found, server.communicate()
        address = found[0]
        with Page(BROWSER, address, tmp_path / "profile", (1280, 1600)) as page:
            page.wait("document.querySelectorAll('.vega-embed, canvas, svg.marks').length > 0")
            page.wait("document.body?.innerText.includes('generator')")
            text = page.run("document.body.innerText")
            for name in NAMES:
                assert name in text
            # Titles of charts, by sections: no section of counts, such as kimg and tick.
            titles = re.findall(r"▾\n(\w+) \(\d+\)\n", text)
            assert titles == ["loss", "speed"], text
            axes = "[...document.querySelectorAll('input')].map(input => input.value)"
            assert "kimg" in page.run(axes)
        media = address.replace("/?", "/media?")
        with Page(BROWSER, media, tmp_path / "profile", (1280, 1600)) as page:
            page.wait("document.body?.innerText.includes('0.25 kimg')")
            page.wait("[...document.images].filter(image => image.naturalWidth == 4).length == 8")
            text = page.run("document.body.innerText")
            assert "0.75 kimg" in text and f"{NAMES[1]}, Step: 750" in text
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.communicate(timeout=60)
        except subprocess.TimeoutExpired:  # none that outlives the test
            server.kill()
            server.communicate()
            raise
    assert server.returncode == 0
