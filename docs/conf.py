"""Sphinx: the documentation of trompe, from these pages, `conf/` and the docstrings.

`make docs` builds it, without a network, into build/docs; a warning is an error.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
# This copy of trompe is documented, whichever one is installed.
sys.path[:0] = [str(HERE.parent / "src"), str(HERE)]

import docstrings  # noqa: E402
import links  # noqa: E402
import reference_pages  # noqa: E402

project = "trompe"
author = "the authors of trompe"
copyright = f"{author}, Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["wandb_sweep.yaml"]
smartquotes = False
nitpicky = True
# What belongs to other packages, whose pages a build without a network cannot look up, and the
# types of arguments, which may be any of trompe's.
nitpick_ignore_regex = [("py:.*", r".*")]

highlight_language = "none"
myst_heading_anchors = 3
# The docstrings mark code by single backquotes.
default_role = "code"
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"

html_theme = "furo"
html_title = "trompe"
html_copy_source = False
html_show_sphinx = False
html_static_path: list[str] = []


def setup(app: object) -> None:
    """Write the pages that are made from `conf/`; mend links that leave this folder."""
    reference_pages.write(HERE / "reference")
    app.connect("source-read", links.mend)  # type: ignore[attr-defined]
    app.connect("include-read", links.mend_included)  # type: ignore[attr-defined]
    app.connect("autodoc-process-docstring", docstrings.prepare, 600)  # type: ignore[attr-defined]
