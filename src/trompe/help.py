"""`trompe COMMAND --help`: what a command is for, examples, keys and choices, from `conf/`."""

from collections.abc import Iterable

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from trompe import reference

_MOST = 100  # columns, on wider terminals too


def show_help(command: str, docstring: str, words: Iterable[str]) -> None:
    """Print it; of groups that `words` choose from, also the keys of what they choose.

    Args:
        command: its name.
        docstring: its first line is the purpose, lines that begin with ``trompe`` are examples.
        words: of the command line, besides the command.
    """
    console = Console(highlight=False)
    console.width = min(console.width, _MOST)
    purpose, *rest = docstring.splitlines()
    console.print(Text.assemble((f"trompe {command}", "bold"), f": {purpose}"))
    _title(console, "examples")
    for line in rest:
        if line.startswith("trompe "):
            console.print(Padding(Text(line, "cyan"), (0, 0, 0, 2)))
    _show_keys(console, "keys", reference.read(command).keys, "")
    for group, option in reference.chosen(command, words):
        name = f"{group}/{option}"
        title = f"keys of {group}={option}"
        _show_keys(console, title, reference.keys_of(name), reference.prefix(group, option))
    _show_groups(console, command)
    console.print()
    console.print(f"trompe {command} ... --cfg job    the composed config, without running it")


def _title(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, "bold"))


def _show_keys(console: Console, title: str, keys: Iterable[reference.Key], prefix: str) -> None:
    table = Table.grid(padding=(0, 2))
    for key in keys:
        if key.value or key.comment:
            name = Text(f"  {prefix}{key.name}", "cyan")
            table.add_row(name + Text(f"={key.value}" if key.value else "", "dim"), key.comment)
    if table.row_count:
        _title(console, title)
        table.columns[0].max_width = 44
        console.print(table)


def _show_groups(console: Console, command: str) -> None:
    for group, chosen in reference.groups(command).items():
        nested = reference.groups_below(group)
        for name in [group, *nested]:
            default = f" (default {chosen})" if name == group else ""
            _title(console, f"{name}={default}")
            table = Table.grid(padding=(0, 2))
            for option in reference.options(name):
                text = reference.first_sentence(reference.read(f"{name}/{option}").purpose)
                table.add_row(Text(f"  {option}", "cyan"), text)
            console.print(table)
