"""The exported page in a real browser: it computes what the run does, without any network."""

import base64
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.browser.devtools import Page
from tests.browser.test_compare import BROWSER
from tests.runs.exporting import GAN, MODELS, exported, module_of
from tests.runs.test_stylize import make_run, picture
from trompe.errors import UserError
from trompe.exports import web_runtime
from trompe.runs.run_folder import RunFolder

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine"),
]

READ = """(() => { const c = document.getElementById("%s");
  const copy = new OffscreenCanvas(c.width, c.height);
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(c, 0, 0);
  const { data } = context.getImageData(0, 0, c.width, c.height);
  let text = ""; for (const byte of data) text += String.fromCharCode(byte);
  return [c.width, c.height, btoa(text)]; })()"""


@pytest.fixture(scope="module")
def cache_with_runtime() -> str:
    """The cache folder of who runs the tests, with the package that pages are made with."""
    folder = Path(os.environ.get("TROMPE_CACHE_DIR", "~/.cache/trompe")).expanduser()
    try:
        web_runtime.find(None, folder)
    except UserError as error:
        pytest.skip(str(error))
    return str(folder)


def pixels(page: Page, canvas: str) -> np.ndarray:
    """uint8 (H, W, 3) of a canvas."""
    width, height, text = page.run(READ % canvas)
    values = np.frombuffer(base64.b64decode(text), dtype=np.uint8)
    return values.reshape(height, width, 4)[..., :3]


def check_image(page: Page, expected: Tensor) -> None:
    made = expected[0].numpy().transpose(1, 2, 0) * 127.5 + 127.5
    found = pixels(page, "result")
    assert found.shape == made.shape
    assert np.abs(found - made).max() < 1.0


def made(page: Page) -> int:
    return int(page.run("+(document.body.dataset.made || 0)"))


def wait_for_next(page: Page, before: int) -> None:
    page.wait(f"+document.body?.dataset.made > {before} && !document.body?.matches('.busy')")


def check_quiet(page: Page) -> None:
    assert page.complaints == []
    assert page.requests and all(u.startswith(("file:", "data:", "blob:")) for u in page.requests)


def normal(seed: int, size: int) -> list[float]:
    """The page's numbers of a seed: mulberry32, then Box and Muller."""
    state, bits = seed, 0xFFFFFFFF

    def uniform() -> float:
        nonlocal state
        state = (state + 0x6D2B79F5) & bits
        t = ((state ^ (state >> 15)) * (1 | state)) & bits
        t = ((t + (((t ^ (t >> 7)) * (61 | t)) & bits)) & bits) ^ t
        return ((t ^ (t >> 14)) + 0.5) / 2**32

    return [
        math.sqrt(-2 * math.log(uniform())) * math.cos(2 * math.pi * uniform()) for _ in range(size)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("web")


def page_of(run: RunFolder, cache: str) -> Path:
    out = exported(run, "format=[web]", f"paths.cache_dir={cache}")
    assert not (out / "model.onnx").exists()
    return out / "web" / "index.html"


def test_sliders_and_seeds(folder: Path, cache_with_runtime: str) -> None:
    run = make_run(folder / "gan", GAN)
    module = module_of(run)

    def image(latent: list[float]) -> Tensor:
        with torch.no_grad():
            return module(torch.tensor([latent]))

    with Page(str(BROWSER), page_of(run, cache_with_runtime), folder / "profile") as page:
        page.wait("document.querySelectorAll('#grid button').length == 12")
        latent = normal(0, 100)
        check_image(page, image(latent))
        assert page.run("document.querySelectorAll('#sliders input').length") == 24
        before = made(page)
        page.run(
            "(() => { const z = document.getElementById('z3'); z.value = -2.5;"
            "z.dispatchEvent(new Event('input')); })()"
        )
        wait_for_next(page, before)
        latent[3] = -2.5
        check_image(page, image(latent))
        before = made(page)
        page.run("document.querySelector('#grid button[data-seed=\"5\"]').click()")
        wait_for_next(page, before)
        assert page.run("document.getElementById('seed').value") == "5"
        check_image(page, image(normal(5, 100)))
        before = made(page)
        page.run("document.getElementById('new-seed').click()")
        wait_for_next(page, before)
        check_image(
            page, image(normal(int(page.run("+document.getElementById('seed').value")), 100))
        )
        check_quiet(page)


@pytest.mark.parametrize("size", [(1200, 900), (360, 740)])
def test_a_photo_and_a_style(size: tuple[int, int], folder: Path, cache_with_runtime: str) -> None:
    run = make_run(folder / f"style_{size[0]}", MODELS["quick"])
    module = module_of(run)

    def as_input(page: Page, canvas: str) -> Tensor:
        return torch.tensor(pixels(page, canvas).transpose(2, 0, 1)[None] / 127.5 - 1).float()

    def check(page: Page) -> None:
        with torch.no_grad():
            check_image(page, module(as_input(page, "content"), as_input(page, "style")))

    profile = folder / f"profile_{size[0]}"
    with Page(str(BROWSER), page_of(run, cache_with_runtime), profile, size) as page:
        page.wait("+document.body?.dataset.made > 0 && !document.body?.matches('.busy')")
        check(page)
        assert max(pixels(page, "result").shape[:2]) == 256
        before = made(page)
        page.give_file("#content-file", picture(folder / "photo.png", 300, 187))
        wait_for_next(page, before)
        assert pixels(page, "result").shape == (160, 256, 3)
        check(page)

        before = made(page)
        style = base64.b64encode(picture(folder / "style.png", 41, 77, 3).read_bytes()).decode()
        page.run(drop("style-drop", style))
        wait_for_next(page, before)
        assert pixels(page, "style").shape[1] == 256
        check(page)

        before = made(page)
        page.run(
            "(() => { const s = document.getElementById('size'); s.value = 128;"
            "s.dispatchEvent(new Event('change')); })()"
        )
        wait_for_next(page, before)
        assert pixels(page, "result").shape == (80, 128, 3)
        check(page)

        (folder / "text.png").write_text("no picture")
        page.give_file("#content-file", folder / "text.png")
        page.wait("document.getElementById('status').textContent.includes('cannot be read')")
        assert not page.run("document.documentElement.scrollWidth > innerWidth")
        unnamed: Any = page.run(
            "[...document.querySelectorAll('button, select, input, canvas')].filter("
            "(e) => !(e.textContent.trim() || e.ariaLabel || e.labels?.length"
            "|| e.querySelector('[alt]')))"
            ".map((e) => e.outerHTML)"
        )
        assert unnamed == []
        check_quiet(page)


def drop(place: str, content: str) -> str:
    return f"""(() => {{
      const bytes = Uint8Array.from(atob("{content}"), (c) => c.charCodeAt(0));
      const dropped = new DataTransfer();
      dropped.items.add(new File([bytes], "dropped.png", {{ type: "image/png" }}));
      document.getElementById("{place}").dispatchEvent(new DragEvent(
        "drop", {{ dataTransfer: dropped, bubbles: true, cancelable: true }}));
    }})()"""
