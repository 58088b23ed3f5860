"""Which command uses a trained method, and with which options."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trompe.errors import UserError
from trompe.methods.capabilities import Enlarges, FromLatents, FromPictures, Restores
from trompe.words import typed

# Which command asks for which capability.
COMMANDS: dict[str, type] = {"sample": FromLatents, "stylize": FromPictures, "restore": Enlarges}


def command_for(method: Any) -> str | None:
    """The command that uses a trained method; None if there is none."""
    return next((name for name, kind in COMMANDS.items() if isinstance(method, kind)), None)


def usage(method: Any, run: Path) -> str | None:
    """The command line that uses a run of this method."""
    command = command_for(method)
    if command is None:
        return None
    words = [f"trompe {command} {typed('run', run)}"]
    words += ["task=upscale", "picture=<picture>"] if isinstance(method, Enlarges) else []
    if isinstance(method, FromPictures):
        words.append("content=<picture or folder>")
        words += ["style=<picture or folder>"] if method.takes_style else []
    if isinstance(method, FromLatents) and method.classes:
        words.append("label=<class>")
    words += [f"{k}={'|'.join(map(str, values))}" for k, values in method.options.items() if values]
    return " ".join(words)


def require(method: Any, command: str, where: object) -> None:
    """Refuse a method that a command cannot use.

    Raises:
        UserError: naming the command that can.
    """
    if not isinstance(method, COMMANDS[command]):
        raise does_not_work(method, command, where)


def does_not_work(method: Any, command: str, where: object) -> UserError:
    """What to say of a method that a command cannot use: what can be done instead."""
    if other := command_for(method):
        instead = f"use trompe {other}"
    elif isinstance(method, Restores):
        instead = "its picture is restored.png in the run's folder, the numbers are restored.json"
    else:
        instead = "no command makes pictures with it"
    return UserError(f"trompe {command} does not work with the model of {where}: {instead}")


def check_options(given: Mapping[str, Any], method: Any, where: object) -> dict[str, Any]:
    """The options that were given a value.

    Raises:
        UserError: if the method has no such option, or does not allow the value.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    for name, value in chosen.items():
        if name not in method.options:
            known = ", ".join(option for option in method.options if option in given)
            has = f"; it has {known}" if known else ""
            raise UserError(f"{name}={value}: the model of {where} has no such option{has}")
        values = method.options[name]
        if values and value not in values:
            raise UserError(f"{name}={value} must be one of {', '.join(map(str, values))}")
    return chosen
