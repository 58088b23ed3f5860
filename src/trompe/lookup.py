"""Finding a function or class by name: the module is the list of choices."""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from hydra._internal.utils import _locate

from trompe.errors import UserError
from trompe.own_code import describe


def find_object(path: str) -> Any:
    """What a dotted path names. Hydra's own function also logs what it raises.

    Raises:
        ImportError: if there is no such thing, or importing it failed.
    """
    return _locate(path)


def find_class(path: str, what: str) -> type:
    """The class that a dotted path names.

    Args:
        path: its module and name.
        what: the config key, for the message.

    Raises:
        UserError: if there is none, or its module cannot be imported.
    """
    try:
        found = find_object(path)
    except Exception as error:  # an import may raise anything
        raise UserError(f"{what}={path} {_why(path, error)}") from error
    if not isinstance(found, type):
        raise UserError(f"{what}: {path} is no class: it is a {type(found).__name__}")
    return found


def _why(path: str, error: Exception) -> str:
    """Why a class cannot be had: its module is missing, it is, or an import raised something."""
    cause: BaseException = error.__cause__ or error
    package, (module, _, name) = path.partition(".")[0], path.rpartition(".")
    if isinstance(cause, ModuleNotFoundError) and cause.name == package:
        return (
            f"is no class: there is no such module: {package} is not in the current folder, beside "
            "the folder of --config-dir, or on PYTHONPATH"
        )
    if isinstance(cause, ModuleNotFoundError) and cause.name == path:
        return f"is no class: {module} has no {name}"
    if isinstance(cause, ModuleNotFoundError) and f"{path}.".startswith(f"{cause.name}."):
        return f"is no class: there is no module {cause.name}"
    return f"cannot be imported: {describe(cause) or cause}"


def find_function(module_name: str, prefix: str, name: str, what: str) -> Callable[..., Any]:
    """The function `<prefix><name>` of `module_name`, or of `a.b` if `name` is `a.b.name`.

    Args:
        module_name: where a plain name is looked up.
        prefix: of the function's name, e.g. ``"generator_"``.
        name: a plain name or a dotted path.
        what: the config key, for the message.

    Raises:
        UserError: listing the names that exist.
    """
    package, _, plain = name.rpartition(".")
    try:
        module = importlib.import_module(package or module_name)
    except (ImportError, TypeError) as error:
        raise UserError(f"{what}={name}: there is no module {package}: {error}") from error
    except Exception as error:  # an import may raise anything
        raise UserError(f"{what}={name} cannot be imported: {describe(error) or error}") from error
    known = {
        key.removeprefix(prefix): value
        for key, value in vars(module).items()
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and key.startswith(prefix)
        and not key.startswith(("_", "load_"))
    }
    if plain not in known:
        raise UserError(f"{what}={name} is not known: choose one of {', '.join(sorted(known))}")
    return known[plain]
