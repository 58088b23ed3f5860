"""Turns a function of a config into a command."""

import atexit
import functools
import gc
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import hydra
import yaml
from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core import utils
from omegaconf import DictConfig, ListConfig, OmegaConf

from trompe.errors import UserError, show
from trompe.files import whole_file
from trompe.masking import mask
from trompe.paths import expand
from trompe.words import as_override, quoted

_PACKAGE = Path(__file__).resolve().parent


def config_dir() -> str:
    """Absolute path of `conf/`: the wheel's copy if there is one, else the repository's."""
    packaged = _PACKAGE / "conf"
    return str(packaged if packaged.is_dir() else _PACKAGE.parents[1] / "conf")


def _times(*factors: float) -> float:
    return math.prod(factors)


def _over(dividend: float, divisor: float) -> float:
    return dividend / divisor


# In a config, ${times:0.5,${kimg}} is half the budget, ${over:${kimg},4} a quarter.
OmegaConf.register_new_resolver("times", _times, replace=True)
OmegaConf.register_new_resolver("over", _over, replace=True)
# And ${expand:~/x} is a folder in the home folder, for Hydra, which does not expand ~.
OmegaConf.register_new_resolver("expand", lambda path: str(expand(path)), replace=True)

Task = Callable[[DictConfig], object]


def command(
    config_name: str, bare: str | None = None
) -> Callable[[Task], Callable[[list[str]], None]]:
    """`hydra.main` on our config tree, as a function of the arguments, raising the task's error.

    A word without `=` is the value of the key `bare`: `trompe sample latest` is `run=latest`.

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
                check_kinds(cfg, config_name)
                task(cfg)
            except Exception as error:
                errors.append(error)

        run = hydra.main(version_base="1.3", config_path=config_dir(), config_name=config_name)(job)

        @functools.wraps(task)
        def main(arguments: list[str]) -> None:
            nonlocal original
            original = sys.argv
            if bare is not None:
                arguments = with_folder(arguments, bare)
            flags, words = split_words(arguments)
            sys.argv = [original[0], *flags, *map(as_override, words)]
            try:
                with _private_saves(), _one_composition(arguments):
                    run()
            except (ValueError, TypeError) as error:  # not a task's, which are kept
                raise UserError(f"this cannot be composed: {error}") from error
            finally:
                sys.argv = original
            if errors:
                raise errors[0]

        return main

    return decorate


@contextmanager
def _private_saves() -> Iterator[None]:
    """Within it, what Hydra saves of a config has no secrets, and is for its owner alone.

    Its sweepers save multirun.yaml, before the first job; ``hydra.output_subdir`` has it save more.
    """
    to_open_file = OmegaConf.save

    def save(config: Any, f: Any, resolve: bool = False) -> None:
        if not isinstance(f, str | Path):
            return to_open_file(config, f, resolve)
        values = mask(OmegaConf.to_container(OmegaConf.create(config), resolve=resolve))
        with whole_file(Path(f), private=True) as file:
            file.write(OmegaConf.to_yaml(OmegaConf.create(values)))

    def save_of_job(config: Any, name: str, folder: Path) -> None:
        save(config, folder / name)

    changes = [(OmegaConf, "save", staticmethod(save)), (utils, "_save_config", save_of_job)]
    before = [vars(owner)[name] for owner, name, _ in changes]
    try:
        for owner, name, value in changes:
            setattr(owner, name, value)
        yield
    finally:
        for (owner, name, _), value in zip(changes, before, strict=True):
            setattr(owner, name, value)


@contextmanager
def _one_composition(arguments: list[str]) -> Iterator[None]:
    """Within it, Hydra does not compose everything once more just to read ``hydra.mode``.

    Our configs do not set it. Where the command line speaks of Hydra's own settings, it is asked.
    """
    original = Hydra.get_mode
    known = not any("hydra" in word or word.startswith("-") for word in arguments)
    try:
        if known:
            Hydra.get_mode = lambda *args, **kwargs: None  # type: ignore[method-assign]
        yield
    finally:
        Hydra.get_mode = original  # type: ignore[method-assign]


def check_kinds(cfg: DictConfig, config_name: str) -> None:
    """Refuse anything but true and false, or lists, where the command's own config has them.

    Raises:
        UserError: naming the key.
    """
    own = yaml.safe_load(Path(config_dir(), f"{config_name}.yaml").read_text())
    for key, default in _scalars(own):
        value = OmegaConf.select(cfg, key) if isinstance(default, bool | list) else None
        if isinstance(default, bool) and not isinstance(value, bool):
            raise UserError(f"{key}={show(value)} must be true or false")
        if isinstance(default, list) and not isinstance(value, ListConfig):
            raise UserError(f"{key}={show(value)} must be a list, such as {key}=[a,b]")


def _scalars(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if key == "defaults":
            continue
        if isinstance(value, dict):
            yield from _scalars(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


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


def split_words(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Hydra's flags, with their values, and all other words of a command line.

    Raises:
        UserError: if there is no such flag, or it lacks a value.
    """
    parser = get_args_parser()
    parser.error = _refuse_flag  # type: ignore[method-assign]
    words: list[str] = parser.parse_intermixed_args(arguments).overrides
    flags, rest = [], list(words)
    for argument in arguments:
        if argument in rest:
            rest.remove(argument)
        else:
            flags.append(argument)
    return flags, words


def _refuse_flag(message: str) -> NoReturn:
    unknown = message.removeprefix("unrecognized arguments: ")
    if unknown == message:
        raise UserError(message)
    raise UserError(f"there is no flag {unknown}: a key is written without dashes, as key=value")


def with_folders(arguments: list[str], key: str) -> list[str]:
    """Arguments with bare folders turned into ``key=[...]``."""
    folders, rest = _folders(arguments)
    return [*rest, f"{key}=[{','.join(folders)}]"] if folders else rest


def with_folder(arguments: list[str], key: str) -> list[str]:
    """Arguments with a bare folder, or a run's name, turned into ``key=...``.

    Raises:
        UserError: if there are several.
    """
    folders, rest = _folders(arguments)
    if len(folders) > 1:
        raise UserError(f"{key}= is one folder, not {len(folders)}: {', '.join(folders)}")
    return [*rest, f"{key}={folders[0]}"] if folders else rest


def is_folder(word: str) -> bool:
    """Whether a word names a folder that is there; it may hold ``=``, ``<`` or ``>``."""
    return os.path.isdir(os.path.expanduser(word))


def _is_name(word: str) -> bool:
    """Whether a word may name a folder; ``~key`` deletes a key."""
    return "=" not in word and (not word.startswith("~") or "/" in word)


def _folders(arguments: list[str]) -> tuple[list[str], list[str]]:
    flags, words = split_words(arguments)
    folders = [word for word in words if is_folder(word) or _is_name(word)]
    return [quoted(word) for word in folders], [*flags, *(w for w in words if w not in folders)]
