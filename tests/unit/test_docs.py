"""The documentation: it builds without a warning, with a page of every command and group."""

import html
import re
import subprocess
import sys
from pathlib import Path

import pytest

from trompe import reference
from trompe.cli import commands
from trompe.command import config_dir

ROOT = Path(__file__).parents[2]
GROUPS = sorted(f.name for f in Path(config_dir()).iterdir() if f.is_dir() and f.name != "hydra")


def test_the_site_is_whole_and_says_every_key_and_option(tmp_path: Path) -> None:
    options = ["--fail-on-warning", "--keep-going", "--quiet"]
    command = [sys.executable, "-m", "sphinx", *options, str(ROOT / "docs"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    for name in commands():
        text = text_of(tmp_path / "reference" / "commands" / f"{name}.html")
        for key in reference.read(name).keys:
            assert not key.value or f"{key.name}={key.value}" in text
    for group in GROUPS:
        text = text_of(tmp_path / "reference" / "groups" / f"{group}.html")
        for option in reference.options(group):
            purpose = reference.first_sentence(reference.read(f"{group}/{option}").purpose)
            assert f"={option}" in text
            assert purpose.replace("`", "") in text

    for page in tmp_path.rglob("*.html"):  # which open without a network
        assert not re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="https?:', page.read_text())


def text_of(page: Path) -> str:
    """What a reader sees of a page, with single spaces."""
    article = page.read_text(encoding="utf-8").split("<article", 1)[1].split("</article>")[0]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", article)).split())


@pytest.mark.parametrize("page", sorted(file.name for file in ROOT.glob("*.md")))
def test_links_lead_to_files_and_headings(page: str) -> None:
    for target, anchor in re.findall(
        r"\]\(([^)\s#:]*)(?:#([^)\s]*))?\)", (ROOT / page).read_text()
    ):
        file = ROOT / (target or page)
        assert file.exists(), target
        if anchor:
            assert anchor in map(slug, file.read_text(encoding="utf-8").splitlines()), anchor


def slug(line: str) -> str:
    """The anchor of a heading, as GitHub makes it; empty if the line is none."""
    title = line.lstrip("#").strip().lower() if line.startswith("#") else ""
    return re.sub(r"[^\w\- ]", "", title).replace(" ", "-")
