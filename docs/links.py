"""Links of Markdown files as they are read in the repository, for pages of the site."""

import os
import re
from pathlib import Path

DOCS = Path(__file__).parent
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")
# Files of the repository that are pages of the site, by their path below its root.
_PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "src/trompe/methods/embedded/README.md": "model_card.md",
}


def mend(app: object, page: str, source: list[str]) -> None:
    """Of a page, when Sphinx reads it."""
    source[0] = _mended(source[0], (DOCS / page).parent, page)


def mend_included(app: object, path: Path, page: str, source: list[str]) -> None:
    """Of a file that a page includes: its links begin where the file is."""
    source[0] = _mended(source[0], (DOCS / path).resolve().parent, page)


def _mended(text: str, folder: Path, page: str) -> str:
    return _LINK.sub(lambda link: _replaced(link, folder, page), text)


def _replaced(link: re.Match[str], folder: Path, page: str) -> str:
    """A link to a page of the site; of a file that is none, its path as code.

    Raises:
        ValueError: if there is no such file.
    """
    target, anchor = link["target"], link["anchor"] or ""
    if ":" in target or target.startswith("/"):
        return link[0]
    file = Path(os.path.normpath(folder / target))
    if not file.exists():
        raise ValueError(f"{page}: there is no {target}")
    inside = file.relative_to(DOCS.parent).as_posix()
    if inside in _PAGES:
        return f"[{link['text']}](/{_PAGES[inside]}{anchor})"
    if file.is_relative_to(DOCS):
        return f"[{link['text']}](/{file.relative_to(DOCS).as_posix()}{anchor})"
    return f"`{inside}`"
