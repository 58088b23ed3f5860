"""Finding a function by name: the module is the list of choices."""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from trompe.errors import UserError


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
