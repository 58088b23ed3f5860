"""What people type, as Hydra reads it: words of the command line become overrides."""

import functools
import re
import shlex
from pathlib import Path
from typing import Any

import yaml

# Keys whose value is a name or a path: 2024 and 1e5 are text there, not numbers.
_NAMES = re.compile(
    r"paths\.\w+|data\.(path|root|content|style|a|b)|(.+\.)?(weights|cache_dir)|run|resume|out"
    r"|generated|reference|init|web_runtime|content|style|folders|runs|name|title|project|study"
)
_KEY = re.compile(r"[\w$/@.:-]+")
_CALL = re.compile(r"([A-Za-z_]\w*)\s*\(")


def as_override(word: str) -> str:
    """A word of the command line as a valid Hydra override of the same meaning.

    What Hydra's grammar can read is left alone. Other values are text, and quoted: a path with
    spaces, ``~``, ``#``, brackets, quotation marks or letters beyond ASCII needs no quotation marks
    besides those of the shell. In detail:

    - Commas separate values, here as in Hydra, and each is treated by itself; so are the elements
      of a list. Text that has a comma needs quotation marks: ``"data.path='a,b'"``.
    - ``[``, a quotation mark, ``{`` before a colon and a word before ``(`` begin a list, a text, a
      dict and a call. One that Hydra cannot read stays an error, because it was meant as one.
    - Where a path or a name belongs, numbers and ``true`` are text too, spaces at the ends count,
      and a word before ``(`` is a call only if Hydra knows it: ``photo(1)`` is a name. ``null`` is
      null, as everywhere.
    - Of a config group, ``null`` leaves it out, or empties it if several may be chosen.
    """
    key, equals, value = word.partition("=")
    plain = key.lstrip("+")
    if not equals or not _KEY.fullmatch(plain):
        return word
    is_group = "/" in plain or plain in _groups()
    if is_group and value.lower() == "null":
        return f"{key}=[]" if _groups().get(plain) else f"~{plain}"
    is_name = is_group or _NAMES.fullmatch(plain) is not None
    return f"{key}={_as_value(value, is_name)}"


def quoted(text: str) -> str:
    """Any text, such as a path, quoted as the value of a Hydra override."""
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text, Quote.single).with_quotes()


def typed(key: str, path: Path | str) -> str:
    """``key=path`` as it can be typed in a shell, whatever characters the path has."""
    from hydra.core.override_parser.types import QuotedString

    text = str(path)
    read = _read(_as_value(text, is_name=True))
    value = read[0].text if read and isinstance(read[0], QuotedString) else read and read[0]
    return in_shell(f"{key}={text if value == text else quoted(text)}")


def as_text(override: str) -> str:
    """How to type an override whose whole value is meant as one text."""
    key, _, value = override.partition("=")
    return in_shell(f"{key}={quoted(value)}")


def in_shell(word: str) -> str:
    """A word as it can be typed in a shell, with as few quotation marks as possible."""
    simple = shlex.quote(word)
    return simple if simple == word or re.search(r'["$`\\!]', word) else f'"{word}"'


def _as_value(value: str, is_name: bool) -> str:
    if (not is_name or value[:1] in ("'", '"')) and _read(value) is not None:
        return value
    parts = _split(value)
    if len(parts) > 1:
        parts = [_as_value(part.strip(), is_name) for part in parts]
        return ",".join(parts)
    if value[:1] == "[" and value[-1:] == "]":
        parts = [_as_value(part.strip(), is_name) for part in _split(value[1:-1])]
        return f"[{','.join(parts)}]"
    return quoted(value) if _is_text(value, is_name) else value


def _is_text(value: str, is_name: bool) -> bool:
    """Whether one value needs quotation marks to be what it says."""
    if not value or value[0] in "'\"[" or re.match(r"\{[^}]*:", value):
        return False
    call = _CALL.match(value)
    if call and (not is_name or call[1] in _functions()):
        return False
    read = _read(value)
    if read is None:
        return True
    is_plain = isinstance(read[0], str) and read[0] == value  # no backslash means another
    return is_name and not is_plain and read[0] is not None and not isinstance(read[0], dict)


def _read(value: str) -> tuple[Any] | None:
    """What Hydra's grammar makes of a value; None if it cannot read it."""
    from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
    from hydra.errors import HydraException

    try:
        return (OverridesParser(create_functions()).parse_override(f"key={value}").value(),)
    except HydraException:
        return None


def _functions() -> set[str]:
    """The functions of Hydra's grammar, and the one that sweeps add."""
    from hydra.core.override_parser.overrides_parser import create_functions

    return {*create_functions().functions, "log"}


@functools.cache
def _groups() -> dict[str, bool]:
    """The groups that our configs choose from, and whether several may be chosen."""
    from trompe.command import config_dir

    groups: dict[str, bool] = {}
    for file in Path(config_dir()).glob("*.yaml"):
        for entry in yaml.safe_load(file.read_text())["defaults"]:
            if isinstance(entry, dict):
                groups |= {name: isinstance(chosen, list) for name, chosen in entry.items()}
    return groups


def _split(values: str) -> list[str]:
    """Cut at the commas outside of brackets and quotation marks, which begin a value."""
    parts, depth, quote = [""], 0, ""
    for character in values:
        if quote:
            quote = "" if character == quote and parts[-1][-1] != "\\" else quote
        elif character in "'\"" and not parts[-1].strip():
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth = max(0, depth - 1)
        elif character == "," and not depth:
            parts.append("")
            continue
        parts[-1] += character
    return parts


def first_key(override: str) -> str:
    """``model`` of ``+model.loss=hinge``, ``model/augment=none`` and ``model@a.b=x``."""
    return re.split(r"[=./@]", override.lstrip("+~"), maxsplit=1)[0]
