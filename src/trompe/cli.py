"""`trompe COMMAND [overrides]`: finds the command, and turns a user's mistake into one line.

Commands are the modules of `trompe.commands`; each has a docstring, whose first line is its help,
and a `main` made by `hydra.main`. Nothing here imports torch.
"""

import ast
import importlib
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from trompe.errors import UserError, is_out_of_memory
from trompe.extras import explain
from trompe.masking import mask
from trompe.search_path import pin
from trompe.streams import keep_streams, lost_output, visible

_COMMANDS = Path(__file__).parent / "commands"


def commands() -> dict[str, str]:
    """Every command with its module's docstring, read without importing it."""
    return {
        file.stem: ast.get_docstring(ast.parse(file.read_text())) or ""
        for file in sorted(_COMMANDS.glob("[!_]*.py"))
    }


def usage() -> str:
    """The text of `trompe --help`."""
    lines = [f"  {name:<10} {text.splitlines()[0]}" for name, text in commands().items()]
    return "\n".join(
        [
            "usage: trompe COMMAND [key=value ...]",
            "",
            "commands:",
            *lines,
            "",
            "trompe COMMAND --help       what can be configured",
            "trompe COMMAND --cfg job    the composed config, without running it",
            'eval "$(trompe -sc install=bash)"    shell completion (also zsh, fish)',
        ]
    )


def main() -> int:
    """Run the command line; returns the exit code: 0 done, 2 the user's mistake, 1 ours."""
    keep_streams()
    pin(sys.argv[1:])
    code = _main(sys.argv[1:])
    if not code and (reason := lost_output()) is not None:
        return _fail(f"cannot write to stdout: {reason}", 1)
    return code


def _main(arguments: list[str]) -> int:
    if arguments[:1] and arguments[0] in ("-sc", "--shell-completion"):
        return _complete(arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0
    if arguments[0] == "--version":
        from trompe import __version__

        print(f"trompe {__version__}")
        return 0
    if arguments[0] not in commands():
        from trompe.suggestions import close, did_you_mean

        known = ", ".join(commands())
        meant = did_you_mean(close(arguments[0], commands()))
        return _fail(
            f"there is no command {arguments[0]!r}{meant or f': the commands are {known}'}"
        )
    if {"-h", "--help"} & set(arguments[1:]):
        from trompe.help import show_help

        show_help(arguments[0], commands()[arguments[0]], arguments[1:])
        return 0
    return _run(arguments[0], arguments[1:])


def _run(command: str, arguments: list[str]) -> int:
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    # Hydra would print a shortened traceback and exit with 1: let errors come here instead.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleanly, as Ctrl-C ends it
    try:
        importlib.import_module(f"trompe.commands.{command}").main(arguments)
    except (HydraException, OmegaConfBaseException, ImportError, UserError) as error:
        line = line_of(error, command, arguments)
        if line is None:
            raise
        return _fail(line) if line else 2
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return _fail("there is not enough memory: choose fewer or smaller images at once")
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    return 0


def line_of(error: BaseException, command: str, arguments: Sequence[str] = ()) -> str | None:
    """The line that says a user's mistake; empty if it has been said, None if it is not one."""
    mistake = next((e for e in _chain(error) if isinstance(e, UserError)), None)
    if mistake is not None:
        return "" if mistake.is_told else _one_line(mistake)
    from trompe.suggestions import for_composition

    if line := explain(_chain(error), command):
        return line
    if _is_internal(error):
        return None
    return for_composition(str(error), command, arguments) or _one_line(error, arguments)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_internal(error: BaseException) -> bool:
    """Whether a part failed to build or import through no mistake in the config."""
    from hydra.errors import HydraException, InstantiationException
    from omegaconf.errors import OmegaConfBaseException

    causes = [e for e in _chain(error) if not isinstance(e, HydraException)]
    expected = (
        *(OmegaConfBaseException, ImportError, TypeError, AttributeError, ValueError),
        *(RuntimeError, ArithmeticError),  # torch's, about sizes
    )
    if isinstance(error, InstantiationException):
        return not all(isinstance(cause, expected) for cause in causes)
    return isinstance(error, ImportError)


def _one_line(error: BaseException, arguments: Sequence[str] = ()) -> str:
    """The message in one line; from Hydra and OmegaConf, only the lines that say something.

    Hydra's own message may be empty or point to a chained one, so the first cause's is added.
    """
    from hydra.errors import OverrideParseException

    from trompe.words import as_text

    told = [str(e) for e in _chain(error) if str(e)]
    lines = [line.strip() for line in (told[0] if told else "").splitlines()]
    noise = ("Config search path", "provider=", "full_key:", "object_type=", "See https")
    kept = [line for line in lines if line and not line.startswith(noise)]
    for line in lines:
        if line.startswith("full_key:") and line.split(":", 1)[1].strip():
            kept.append(f"(at {line.split(':', 1)[1].strip()})")
    text = " ".join(kept) or type(error).__name__
    if isinstance(error, OverrideParseException):
        # What its grammar expected says nothing to a person.
        text = f"cannot read {error.override} (to mean it as text, type {as_text(error.override)})"
    if several := re.match(r"Ambiguous value for argument '(.*)'", lines[0] if lines else ""):
        return _several(several[1], arguments)
    hint = ", set env var HYDRA_FULL_ERROR=1 to see chained exception."
    if hint in text:
        text = text.replace(hint, f": {told[-1].splitlines()[0]}")
    return text


def _several(told: str, arguments: Sequence[str]) -> str:
    """What to type for a value with commas; Hydra tells it without the blanks that were typed."""
    from trompe.words import as_text, in_shell

    def same(word: str) -> bool:
        return "".join(word.split()) == "".join(told.split())

    word = next(filter(same, arguments), told)
    key, _, values = word.partition("=")
    return (
        f"{word} has several values: for one text that has commas type {as_text(word)}, for a list "
        f"{in_shell(f'{key}=[{values}]')}, for several runs add -m or use trompe sweep"
    )


def _fail(message: str, code: int = 2) -> int:
    print(f"trompe: {visible(mask(message))}", file=sys.stderr)
    return code


def _complete(arguments: list[str]) -> int:
    """Shell completion: of the command's name here; Hydra completes its overrides."""
    line = os.environ.get("COMP_LINE", "")
    words = line.split()
    if arguments[1:2] and arguments[1].startswith("query=") and words:
        finished = words[1:] if line.endswith(" ") else words[1:-1]
        if not finished or finished[0] not in commands():
            prefix = words[-1] if not line.endswith(" ") and len(words) > 1 else ""
            print(" ".join(name for name in commands() if name.startswith(prefix)))
            return 0
        rest = line.split(finished[0], 1)[1]
        os.environ["COMP_LINE"] = f"trompe{rest}"
        return _run(finished[0], arguments)
    return _run("train", arguments)
