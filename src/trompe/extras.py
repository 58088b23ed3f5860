"""Optional packages: a missing one is reported in one line that names its extra.

Which extra brings a package is stated in pyproject.toml, and read from the installed metadata.
"""

import importlib.util
import re
from collections.abc import Iterable
from importlib import metadata

from trompe.errors import UserError

_REQUIREMENT = re.compile(r"""([\w.-]+).*;.*\bextra == ['"]([\w-]+)['"]""")


def optional_packages() -> dict[str, tuple[str, str]]:
    """By module name: the package that has it, and the smallest extra that brings it."""
    extras: dict[str, list[str]] = {}
    for requirement in metadata.requires("trompe") or []:
        found = _REQUIREMENT.match(requirement)
        if found and found[1] != "trompe":
            extras.setdefault(found[2], []).append(found[1])
    largest_first = sorted(extras, key=lambda extra: len(extras[extra]), reverse=True)
    return {
        re.sub("[-.]", "_", package).lower(): (package, extra)
        for extra in largest_first
        for package in extras[extra]
    }


def is_installed(module: str) -> bool:
    """Whether a module can be imported; it is not imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it would be in
        return False


def need(module: str, what: str) -> str:
    """The line that says that `what` needs a module, and how to install it."""
    packages = optional_packages()
    for part in module.split("."):  # a part: a package may be within another, as in mpl_toolkits
        if part in packages:
            package, extra = packages[part]
            return f"{what} needs the package {package}: pip install 'trompe[{extra}]'"
    return f"{what} needs the package {module}: pip install {module}"


def require(module: str, what: str) -> None:
    """Refuse to continue without a module, where an import of it would come too late.

    Raises:
        UserError: naming the extra that brings it.
    """
    if not is_installed(module):
        raise UserError(need(module, what))


def explain(errors: Iterable[BaseException], what: str) -> str | None:
    """The line for the first error caused by an extra that is not installed, if any."""
    for error in errors:
        if isinstance(error, ModuleNotFoundError) and error.name:
            packages = optional_packages()
            parts = error.name.split(".")
            if any(part in packages and not is_installed(part) for part in parts):
                return need(error.name, what)
    return None
