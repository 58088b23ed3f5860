"""Pages on commands, groups and keys: what `trompe COMMAND --help` says, from `conf/`."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from trompe import reference
from trompe.cli import commands
from trompe.command import config_dir

# A piece of code or an address stays as it is; the rest is no markup.
_KEPT = re.compile(r"(`[^`]+`|https?://[^\s)]*[^\s).,;])")
_MARKUP = re.compile(r"([\\`*_{}\[\]<>|$~^])")


def write(folder: Path) -> None:
    """Write the pages into a folder, and remove those of what is no longer there.

    A page that is the same is left alone, so that Sphinx need not read it again.
    """
    pages = {f"{name}.md": "\n".join(lines) + "\n" for name, lines in _pages()}
    for name, text in pages.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
    for file in folder.rglob("*.md"):
        if file.relative_to(folder).as_posix() not in pages:
            file.unlink()


def groups() -> list[str]:
    """All groups of `conf/` that a user chooses from, those within another after it."""
    top = sorted(folder.name for folder in Path(config_dir()).iterdir() if folder.is_dir())
    return [name for group in top if group != "hydra" for name in (group, *_below(group))]


def _below(group: str) -> list[str]:
    return reference.groups_below(group)


def _pages() -> Iterator[tuple[str, list[str]]]:
    yield "index", _index()
    for command, docstring in commands().items():
        yield f"commands/{command}", _command(command, docstring)
    for group in groups():
        yield _page_of(group), _group(group)


def _page_of(group: str) -> str:
    return f"groups/{group.replace('/', '_')}"


def _index() -> list[str]:
    lines = [
        "# Commands and keys",
        "",
        "These pages are made from `conf/` and its comments, as `trompe COMMAND --help` is.",
        "A command is `trompe COMMAND [key=value ...]`. A group is a key whose values are files,",
        "such as `model=dcgan`. `trompe COMMAND ... --cfg job` shows the config that a command",
        "line composes.",
        *("", "## Commands", ""),
    ]
    for command, docstring in commands().items():
        purpose = escaped(docstring.splitlines()[0])
        lines.append(_entry(f"[`trompe {command}`](commands/{command}.md)", purpose))
    lines += ["", "## Groups", ""]
    for group in groups():
        lines.append(_entry(f"[`{group}=`]({_page_of(group)}.md)", _options(group)))
    for kind in ("commands", "groups"):
        contents = [":hidden:", f":caption: {kind.capitalize()}", ":glob:", "", f"{kind}/*"]
        lines += ["", "```{toctree}", *contents, "```"]
    return lines


def _command(command: str, docstring: str) -> list[str]:
    purpose, *rest = docstring.splitlines()
    examples = [line for line in rest if line.startswith("trompe ")]
    lines = [f"# trompe {command}", "", f"{escaped(purpose)}", "", "```", *examples, "```"]
    lines += ["", "## Keys", "", *_keys(reference.read(command).keys, "")]
    chosen = reference.groups(command)
    if chosen:
        lines += ["", "## Groups", ""]
    for group, default in chosen.items():
        for name in (group, *_below(group)):
            words = f"`{name}={default}`" if name == group else f"`{name}=`"
            lines.append(_entry(f"[{words}](../{_page_of(name)}.md)", _options(name)))
    return lines


def _options(group: str) -> str:
    return ", ".join(f"`{option}`" for option in reference.options(group))


def _group(group: str) -> list[str]:
    root = group.split("/")[0]
    used = [command for command in commands() if root in reference.groups(command)]
    lines = [f"# {group}", ""]
    if used:
        places = ", ".join(f"[`trompe {name}`](../commands/{name}.md)" for name in used)
        lines += [f"A group of {places}.", ""]
    elif group != "paths":
        how = f"A file of this group is put at a key: `{group}@<key>=<file>`, with a `+` before it"
        lines += [how, "where the config has nothing there yet.", ""]
    for option in reference.options(group):
        at = "" if used or group == "paths" else "@<key>"
        lines += [f"## {escaped(f'{group}{at}={option}')}", ""]
        lines += [escaped(reference.read(f"{group}/{option}").purpose), ""]
        prefix = "" if at else reference.prefix(group, option)
        lines += [*_keys(reference.keys_of(f"{group}/{option}"), prefix), ""]
    return lines


def _keys(keys: Iterable[reference.Key], prefix: str) -> list[str]:
    return [
        _entry(f"`{prefix}{key.name}{f'={key.value}' if key.value else ''}`", escaped(key.comment))
        for key in keys
        if key.value or key.comment
    ]


def _entry(term: str, text: str) -> str:
    """An item of a list; what it means stands below it."""
    return f"- {term}" + (f"\\\n  {text}" if text else "")


def escaped(text: str) -> str:
    """A comment as Markdown: code in backquotes and addresses are kept, nothing else is markup."""
    parts = _KEPT.split(text)
    for i, part in enumerate(parts):
        if i % 2 == 0:
            parts[i] = _MARKUP.sub(r"\\\1", part)
        elif not part.startswith("`"):
            parts[i] = f"<{part}>"
    return "".join(parts)
