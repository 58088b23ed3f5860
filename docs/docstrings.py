"""Docstrings are plain text with code in backquotes: a formula in them is no markup."""

import inspect
import re
from typing import Any

from sphinx.ext.napoleon import GoogleDocstring

_CODE = re.compile(r"(``[^`]+``|`[^`]+`)")
# A bar, and a star that no other one closes.
_MARKUP = re.compile(r"(?<!\\)(\||\*(?=\w)(?![^*]*\*))")


def prepare(
    app: Any, what: str, name: str, documented: Any, options: Any, lines: list[str]
) -> None:
    """Escape what Sphinx would take for markup, in place.

    Napoleon takes what is before a property's first colon for its type: it is read as a method's.
    """
    if what == "property":
        text = inspect.getdoc(documented) or ""
        lines[:] = str(GoogleDocstring(text, app.config, app, "method", name)).splitlines()
    for i, line in enumerate(lines):
        parts = _CODE.split(line)
        parts[::2] = [_MARKUP.sub(r"\\\1", part) for part in parts[::2]]
        lines[i] = "".join(parts)
