"""The fenced blocks of README, CONTRIBUTING and docs, and the commands in them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^( *)(`{3,})([^\n`]*)\n(.*?)^\1\2 *$", re.MULTILINE | re.DOTALL)
_COMMANDS = ("", "sh", "bash", "shell", "console")
_FILES = ("python", "yaml")
_INERT = ("text", "json")  # what is printed, not typed
_PATH = re.compile(r"# (\S+/\S+\.(?:py|yaml))\n")
_VARIABLE = re.compile(r"[A-Z_]+=\S*")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Args:
        document: its path in the repository.
        line: of its fence, from 1.
        language: what the fence says.
        text: without the fence's own indentation.
    """

    document: str
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def path(self) -> str | None:
        """The file that the block is, if its first line says so."""
        found = _PATH.match(self.text)
        return found[1] if found else None

    def commands(self) -> list[str]:
        """The commands in it, each on one line and without its comment."""
        return [line for line in map(_bare, self._lines()) if line]

    def _lines(self) -> list[str]:
        joined = re.sub(r"\\\n\s*", "", self.text)
        return [line.removeprefix("$ ") for line in joined.splitlines()]


class Command(NamedTuple):
    """What is typed: variables of the environment, the program, and its arguments."""

    env: dict[str, str]
    program: str
    arguments: list[str]


def documents() -> list[Path]:
    """What a person reads: README first, so that a command that is repeated is tried there."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
    pages = (ROOT / "docs").rglob("*.md")
    # docs/reference is made when the site is built.
    return [*found, *sorted(page for page in pages if "reference" not in page.parts)]


def blocks(document: Path) -> Iterator[Block]:
    """All blocks of a document but those for the site's generator.

    Raises:
        AssertionError: if one has a language that nothing here knows.
    """
    text = document.read_text()
    for found in _FENCE.finditer(text):
        indent, _, language, content = found.groups()
        if language.strip().startswith("{"):
            continue
        lines = content.splitlines(keepends=True)
        name = str(document.relative_to(ROOT))
        line = text.count("\n", 0, found.start()) + 1
        content = "".join(line.removeprefix(indent) for line in lines)
        block = Block(name, line, language.strip(), content)
        assert block.language in (*_COMMANDS, *_FILES, *_INERT), f"{block.where}: ```{language}"
        yield block


def is_commands(block: Block) -> bool:
    """Whether it holds lines to type; listings say ``text``."""
    return block.language in _COMMANDS


def read(line: str) -> Command:
    """The words of a command line, as a shell reads them."""
    words = shlex.split(line)
    env = {}
    while _VARIABLE.fullmatch(words[0]):
        name, _, value = words.pop(0).partition("=")
        env[name] = value
    return Command(env, words[0], words[1:])


def _bare(line: str) -> str:
    """A line without its comment, which follows a blank; quoted ones are none."""
    for found in re.finditer(r"(?:^|\s)#", line):
        before = line[: found.start()]
        if before.count("'") % 2 == 0 and before.count('"') % 2 == 0:
            return before.strip()
    return line.strip()
