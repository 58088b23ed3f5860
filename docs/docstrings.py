"""Docstrings are plain text with code in backquotes: a formula in them is no markup."""

import re

_CODE = re.compile(r"(``[^`]+``|`[^`]+`)")
# A bar, and a star that no other one closes.
_MARKUP = re.compile(r"(?<!\\)(\||\*(?=\w)(?![^*]*\*))")


def escape(
    app: object, what: str, name: str, documented: object, options: object, lines: list[str]
) -> None:
    """Escape what Sphinx would take for markup, in place."""
    for i, line in enumerate(lines):
        parts = _CODE.split(line)
        parts[::2] = [_MARKUP.sub(r"\\\1", part) for part in parts[::2]]
        lines[i] = "".join(parts)
