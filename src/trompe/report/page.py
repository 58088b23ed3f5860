"""One page that compares runs, in one file that needs no network."""

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from trompe.files import whole_file
from trompe.report.collect import Entry
from trompe.report.page_data import page_data

if TYPE_CHECKING:  # an extra
    import optuna

# In this order: each uses what those before it define.
_SCRIPTS = (
    *("model", "filter", "view", "statistics", "table", "axes", "chart"),
    *("curves", "images", "lightbox", "parallel", "sweep", "details", "main"),
)


def write_page(
    path: Path, entries: Sequence[Entry], study: "optuna.Study | None" = None, title: str = "Runs"
) -> None:
    """Write the comparison of runs, and of the study they are trials of, if any.

    Raises:
        UserError: if the file cannot be written.
    """
    text = render(page_data(entries, study, title))
    with whole_file(path, "wb") as file:
        file.write(text.encode(errors="replace"))  # names of files may be no text


def render(data: dict[str, Any], live: bool = False) -> str:
    """The page as HTML.

    Args:
        data: see `trompe.report.page_data.page_data`.
        live: whether it asks the server that it comes from for newer data.
    """
    environment = Environment(
        loader=PackageLoader("trompe.report", "page"), autoescape=True, undefined=StrictUndefined
    )
    folder = files("trompe.report") / "page"
    scripts = [(folder / "scripts" / f"{name}.js").read_text() for name in _SCRIPTS]
    return environment.get_template("page.html.j2").render(
        title=data["title"],
        heading=data["heading"],
        live=live,
        styles=(folder / "uplot/uPlot.min.css").read_text() + (folder / "page.css").read_text(),
        library=(folder / "uplot/uPlot.iife.min.js").read_text(),
        scripts="\n".join(scripts),
        data=as_script(data),
    )


def as_script(data: dict[str, Any]) -> str:
    """JSON that may stand in a page: a "</script>" in a value would end the script."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
