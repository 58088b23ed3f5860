"""What an opened folder may run: listed constructors only, unless the person trusts it.

A folder of a run or a sweep may come from anybody. Its config names classes to build, and losses
and measures to import, so whoever wrote it decides what runs. Here is the list of what it may
name. What the person composes in the same command is theirs; anything else needs ``trust=true``.
"""

import importlib
import re
from collections.abc import Collection, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from trompe.errors import UserError
from trompe.grammar import overrides_parser
from trompe.links import links
from trompe.runs.older import upgrade_config
from trompe.runs.run_folder import RunFolder

# For each group of a config, the modules of trompe whose classes it may build. A module counts
# with those below it. Nothing of trompe that starts processes or imports by name is here.
_OURS = {
    "model": (
        "trompe.methods",
        "trompe.networks",
        "trompe.losses",
        "trompe.engine.schedules",
        "trompe.data.degradations",
    ),
    "data": ("trompe.data",),
    "metrics": ("trompe.metrics", "trompe.networks"),
    "callbacks": ("trompe.callbacks",),
    "logger": ("trompe.loggers",),
    "launcher": ("trompe.sweeps.launchers",),
    "sampler": ("trompe.sweeps.samplers",),
}
# Not this one: it keeps its state as a pickle in the study, and a study may be a stranger's too.
_PICKLES = ("optuna.samplers.CmaEsSampler",)
PARTS = ("model", "data", "metrics", "callbacks", "logger")  # of a run's config
# Modules whose functions count too: pure ones on tensors.
_FUNCTIONS = ("trompe.losses",)
# Of other packages: classes of a module, below a base class.
_THEIRS = {
    "model": {"torch.nn": "Module", "torch.optim": "Optimizer"},
    "metrics": {"torch.nn": "Module"},
    "sampler": {"optuna.samplers": "BaseSampler"},
    "pruner": {"optuna.pruners": "BasePruner"},
}
# Those data sets of torchvision that read no pickle, or only one whose hash they know.
_DATA_SETS = ("CIFAR10", "CIFAR100", "MNIST", "FashionMNIST", "KMNIST", "CelebA")
# Groups in which a text may name a function to import: a loss, a penalty, a measure.
_LOOKED_UP = ("model", "metrics", "callbacks")
# timm's names of networks that somebody else describes; it reads them as URLs, whose letters may
# be large and in which blanks do not count.
_HUB = re.compile("(hf[-_]?hub|local[-_]?dir):", re.IGNORECASE)
_BLANKS = re.compile(r"[\x00-\x20]")
_GET_CLASS = "hydra.utils.get_class"
# Interpolations that take values from the config itself, and conf/paths; all others ask the world.
_INERT = re.compile(
    r"\$\{(?:times:|oc\.select:|hydra:runtime\.choices\.|\.*[\w.\[\]]*\}"
    r"|oc\.env:TROMPE_(?:OUTPUT|CACHE|DATA)_DIR,)"
)
_WORDS = re.compile(r"\w+")
_ELSEWHERE = re.compile(r"\.\.|(?:^|[^\w.:/-])[/~\\]")
_SHOWN = 4


def open_config(run: RunFolder, trust: bool, *parts: str) -> dict[str, Any]:
    """A run's config, named as today, with the parts that are to be built.

    Args:
        run: its folder.
        trust: whether the person trusts it.
        parts: ``model``, ``data``, ...; the others are left out, and need not be trusted.

    Raises:
        UserError: if these name anything outside of the list, listing what.
    """
    config = upgrade_config(run.read_config())
    config = {key: part for key, part in config.items() if key in parts or key not in _OURS}
    check_config(run.path, config, trust)
    return config


def check_config(
    folder: Path, config: Mapping[str, Any], trust: bool, own: Collection[str] = ()
) -> None:
    """Refuse a resolved config that names code outside of the list, or comes with links.

    Raises:
        UserError: for these, and for interpolations, which a resolved config has none of.
    """
    for key, text in _texts(config):
        if "${" in text:
            raise UserError(
                f"{folder}: {key}={_shown(text)} is not a plain value, as all of a run's config "
                "must be: write the value itself"
            )
    _refuse(folder, "has links to files elsewhere, which it would write", links(folder), trust)
    _refuse(folder, "names code of its own", foreign_names(config, own), trust)


# Keys without dots whose values are paths: there are no groups of their names.
_PATHS = ("init",)


def check_overrides(folder: Path, overrides: Collection[str], trust: bool) -> None:
    """Refuse recorded overrides that set up Hydra, which imports modules, or leave its folders.

    Raises:
        UserError: naming them.
    """
    parser = overrides_parser()
    found = []
    for text in overrides:
        try:
            parser.parse_override(text)
        except (HydraException, TypeError) as error:
            raise UserError(f"{folder}: cannot read the override {_shown(str(text))}") from error
        key, _, value = text.partition("=")
        # Only a key without dots, but for those of its package, can choose a file, whose name is
        # then below a folder of configs.
        group = key.partition("@")[0]
        chooses = ("." not in group or "/" in group) and group not in _PATHS
        if "hydra" in _WORDS.findall(key) or (chooses and _ELSEWHERE.search(f"{group} {value}")):
            found.append(_shown(text))
    _refuse(folder, "sets up Hydra", found, trust)


def check_composed(
    folder: Path, composed: DictConfig, trust: bool, own: Collection[str] = ()
) -> None:
    """Refuse a config composed from recorded overrides that reads the environment and the like.

    To be called before anything of it is resolved.

    Raises:
        UserError: naming the interpolations.
    """
    found = [
        f"{_shown(text)} ({key})"
        for key, text in _texts(OmegaConf.to_container(composed, resolve=False))
        if len(_INERT.findall(text)) < text.count("${") and text not in own
    ]
    _refuse(folder, "reads more than its config", found, trust)


def check_commands(
    folder: Path, commands: Mapping[str, Any], trust: bool, own: Collection[str] = ()
) -> None:
    """Refuse what a recorded sweep would start or connect to.

    Args:
        folder: of the sweep.
        commands: by its key, a text or a nested list or dict of them; empty ones do not count.
        trust: whether the person trusts it.
        own: texts of the person's own config.

    Raises:
        UserError: naming them.
    """
    found = [
        f"{_shown(text)} ({key})"
        for key, command in commands.items()
        for _, text in _texts(command)
        if text and text not in own
    ]
    _refuse(folder, "has commands or connections of its own", found, trust)


def texts_of(cfg: DictConfig) -> frozenset[str]:
    """Every text of a config that the person composed, as they stand: unresolved."""
    return frozenset(text for _, text in _texts(OmegaConf.to_container(cfg, resolve=False)))


def foreign_names(config: Mapping[str, Any], own: Collection[str] = ()) -> list[str]:
    """What a config would build or import that is neither listed nor the person's own.

    Returns:
        Each with its place: ``my_gans.noisy.NoisyGAN (model._target_)``.
    """
    found = [
        f"{_shown(name)} ({key})"
        for group, part in config.items()
        for key, name in _named(part, str(group), str(group))
        if (name not in own or name in _PICKLES) and not is_listed(name, str(group))
    ]
    return list(dict.fromkeys(found))


def consent(config: Mapping[str, Any]) -> str:
    """What a command on a run with this config has to end in: `` trust=true``, or nothing."""
    return " trust=true" if foreign_names(config) else ""


def _named(value: Any, key: str, group: str) -> Iterator[tuple[str, str]]:
    """Places and names of all that building a part would import."""
    if isinstance(value, Mapping):
        target = value.get("_target_")
        if target == _GET_CLASS and value.keys() == {"_target_", "path"}:
            yield f"{key}.path", str(value["path"])
            return
        if "_target_" in value:
            # With more keys, get_class would import a path that is not looked at.
            path = f" {value['path']}" if target == _GET_CLASS and "path" in value else ""
            yield f"{key}._target_", f"{target}{path}"
        for inner, entry in value.items():
            if inner != "_target_":
                yield from _named(str(inner), f"{key}.{inner}", group)
                yield from _named(entry, f"{key}.{inner}", group)
    elif isinstance(value, list | tuple):
        for number, entry in enumerate(value):
            yield from _named(entry, f"{key}.{number}", group)
    elif isinstance(value, str) and group in _LOOKED_UP:
        inside = _is_below(value.rpartition(".")[0], _OURS[group])
        if _HUB.match(_BLANKS.sub("", value)) or (_could_be_imported(value) and not inside):
            yield key, value


def _could_be_imported(text: str) -> bool:
    """Whether a text is a dotted name in a package that is there; nothing is imported."""
    package, dot, _ = text.partition(".")
    try:
        return bool(dot and package) and find_spec(package) is not None
    except (ImportError, ValueError):  # as of __main__
        return True


def is_listed(name: str, group: str) -> bool:
    """Whether a config's group may name this class or function.

    It must be defined where the name says, so what a module merely imports does not count. Only
    modules on the list are imported.
    """
    module, _, attribute = name.rpartition(".")
    if name in _PICKLES or not all(part.isidentifier() for part in name.split(".")):
        return False
    if group == "data" and module == "torchvision.datasets":
        return attribute in _DATA_SETS
    if base := _THEIRS.get(group, {}).get(module):
        found = getattr(importlib.import_module(module), attribute, None)
        parent = getattr(importlib.import_module(module), base)
        return (
            isinstance(found, type)
            and issubclass(found, parent)
            and f"{found.__module__}.".startswith(f"{module}.")
        )
    if not _is_below(module, _OURS.get(group, ())):
        return False
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ImportError:
        return False
    if getattr(found, "__module__", None) != module or attribute.startswith(("_", "load_")):
        return False
    return isinstance(found, type) or _is_below(module, _FUNCTIONS)


def _is_below(module: str, packages: Collection[str]) -> bool:
    return any(f"{module}.".startswith(f"{package}.") for package in packages)


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Places and texts, keys among them, of nested dicts and lists."""
    if isinstance(value, Mapping):
        for inner, entry in value.items():
            place = f"{key}.{inner}" if key else str(inner)
            yield place, str(inner)
            yield from _texts(entry, place)
    elif isinstance(value, list | tuple):
        for number, entry in enumerate(value):
            yield from _texts(entry, f"{key}.{number}")
    elif isinstance(value, str):
        yield key, value


def _refuse(folder: Path, what: str, found: list[str], trust: bool) -> None:
    if found and trust is not True:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise UserError(
            f"{folder} {what}: {', '.join(found[:_SHOWN])}{more}: set trust=true if you trust it"
        )


def _shown(text: str) -> str:
    """A stranger's text on one line of a terminal."""
    short = text if len(text) <= 100 else f"{text[:100]}..."
    return short if short.isprintable() else repr(short)
