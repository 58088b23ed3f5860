"""`trompe` as it is where only the core is installed: a script that runs commands.

What is not the core's, nor needed by a package of the core, cannot be found: neither modules nor
metadata. The core is what the metadata of trompe says. Each line of the input is a command's
arguments as JSON, each line of the output its exit code, output and errors.
"""

import importlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from importlib.machinery import ModuleSpec
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def packages_of_the_core() -> set[str]:
    """Canonical names of the packages that `pip install trompe` brings."""
    found: set[str] = set()
    left, seen = [("trompe", "")], set()
    while left:
        name, extra = left.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            requirements = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # for other platforms
            continue
        found.add(name)
        for requirement in map(Requirement, requirements):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                wanted = canonicalize_name(requirement.name)
                left += [(wanted, option) for option in ["", *requirement.extras]]
    return found


def modules_of(distributions: Iterable[metadata.Distribution]) -> set[str]:
    """Names of the modules that these have, of one and of two parts."""
    files = [file for distribution in distributions for file in distribution.files or []]
    parts = [
        [part.partition(".")[0] for part in file.parts]
        for file in files
        if file.suffix in (".py", ".so") or len(file.parts) > 2
    ]
    return {".".join(p[:depth]) for p in parts for depth in (1, 2) if all(p[:depth])}


class Hiding:
    """A finder that does not find what is hidden, and for all else asks another."""

    def __init__(self, finder: Any, modules: set[str], core: set[str]) -> None:
        self._finder, self._modules, self._core = finder, modules, core

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        hidden = any(".".join(name.split(".")[:depth]) in self._modules for depth in (1, 2))
        return None if hidden else self._finder.find_spec(name, path, target)

    def find_distributions(self, *context: Any) -> Iterator[metadata.Distribution]:
        find = getattr(self._finder, "find_distributions", lambda *_: ())
        for distribution in find(*context):
            if canonicalize_name(distribution.metadata["Name"]) in self._core:
                yield distribution


def hide_extras() -> set[str]:
    """Hide the modules that only extras, or nothing of trompe's, need; returns their names."""
    core = packages_of_the_core()
    inside, outside = [], []
    for distribution in metadata.distributions():
        is_core = canonicalize_name(distribution.metadata["Name"]) in core
        (inside if is_core else outside).append(distribution)
    hidden = modules_of(outside) - modules_of(inside)
    for name in hidden & sys.modules.keys():
        del sys.modules[name]
    sys.meta_path[:] = [Hiding(finder, hidden, core) for finder in sys.meta_path]  # type: ignore[misc]
    return hidden


def run(arguments: Sequence[str]) -> dict[str, Any]:
    """A command in a process of its own, forked from this one."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        if (pid := os.fork()) == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            sys.argv = ["trompe", *arguments]
            code = 70
            try:
                from trompe.cli import main

                code = main()
            except SystemExit as error:
                code = int(error.code or 0)
            except BaseException:
                import traceback

                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return {"code": code, "out": texts[0], "err": texts[1]}


if __name__ == "__main__":
    print(json.dumps(sorted(hide_extras())), flush=True)
    for task in ("train", "evaluate"):  # once for all commands: it takes seconds
        importlib.import_module(f"trompe.tasks.{task}")
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)
