"""Turns a function of a config into a command."""

import atexit
import functools
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

_PACKAGE = Path(__file__).resolve().parent


def config_dir() -> str:
    """Absolute path of `conf/`: the wheel's copy if there is one, else the repository's."""
    packaged = _PACKAGE / "conf"
    return str(packaged if packaged.is_dir() else _PACKAGE.parents[1] / "conf")


def _times(a: float, b: float) -> float:
    return a * b


# In a config, ${times:0.5,${kimg}} is half the budget.
OmegaConf.register_new_resolver("times", _times, replace=True)

Task = Callable[[DictConfig], object]


def command(config_name: str) -> Callable[[Task], Callable[[list[str]], None]]:
    """`hydra.main` on our config tree, as a function of the arguments, raising the task's error.

    Hydra writes a line of its own when a task raises, so errors pass as values. With several
    jobs (`-m`) the others still run, and the first error is raised at the end.
    """

    def decorate(task: Task) -> Callable[[list[str]], None]:
        errors: list[BaseException] = []
        original = sys.argv

        @functools.wraps(task)
        def job(cfg: DictConfig) -> None:
            # Lightning starts further processes by repeating the whole command line.
            sys.argv = original
            try:
                task(cfg)
            except Exception as error:
                errors.append(error)

        run = hydra.main(version_base="1.3", config_path=config_dir(), config_name=config_name)(job)

        @functools.wraps(task)
        def main(arguments: list[str]) -> None:
            nonlocal original
            original = sys.argv
            sys.argv = [original[0], *arguments]
            try:
                run()
            finally:
                sys.argv = original
            if errors:
                raise errors[0]

        return main

    return decorate


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import without looking for garbage, of which there is none: that saves a second."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # nor later in what was imported, which stays
        atexit.register(gc.unfreeze)  # at exit, nanobind's libraries print what is left
        if was_enabled:
            gc.enable()


def with_folders(arguments: list[str], key: str) -> list[str]:
    """Arguments with bare folders turned into ``key=[...]``."""
    folders, rest = _folders(arguments)
    return [*rest, f"{key}=[{','.join(folders)}]"] if folders else rest


def with_folder(arguments: list[str], key: str) -> list[str]:
    """Arguments with a bare folder turned into ``key=...``; the last one counts."""
    folders, rest = _folders(arguments)
    return [*rest, f"{key}={folders[-1]}"] if folders else rest


def _folders(arguments: list[str]) -> tuple[list[str], list[str]]:
    from trompe.runs.run_folder import quoted

    folders = [a for a in arguments if not a.startswith("-") and "=" not in a]
    return [quoted(a) for a in folders], [a for a in arguments if a not in folders]
