"""Parts of a config: checked against the annotations of what makes them, and made."""

import contextlib
import functools
import inspect
import math
import re
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from trompe.errors import Count, UserError, is_number, show
from trompe.lookup import find_object
from trompe.own_code import describe

_UNKNOWN = re.compile(r"(\w+)(?:\.__init__)?\(\) got an unexpected keyword argument '(\w+)'")
_Natural = Annotated[int, 0]
_LEAST = {_Natural: 0, Count: 1}
_PLAIN: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    _Natural: "a whole number of at least 0",
    Count: "a whole number of at least 1",
    float: "a number",
    str: "text",
    Path: "a path",
    type(None): "null",
}


def make(config: Any, key: str, **given: Any) -> Any:
    """Make the parts of a config, once their values are checked.

    Args:
        config: a part, or a mapping of parts, of which those that are null are left out.
        key: what the whole config calls it, for messages.
        given: parameters that are not configured.

    Raises:
        UserError: see `check_parts`; or if a part does not take a parameter.
        InstantiationException: if one cannot be made, with its key.
    """
    if isinstance(config, DictConfig):
        config = OmegaConf.to_container(config, resolve=True)
    if isinstance(config, dict) and "_target_" not in config:
        config = {name: part for name, part in config.items() if part is not None}
    check_parts(config, key)
    try:
        return instantiate(config, **given, _convert_="all")
    except InstantiationException as error:
        text, _, inner = str(error).partition("\nfull_key: ")
        where = f"{key}.{inner}" if inner else key
        if what := _find_unknown(config, key, text):
            raise UserError(
                f"{what}: the part does not take this; leave it out, or take it away with ~{what}"
            ) from error
        cause = error.__cause__
        if not isinstance(cause, UserError) and cause is not None and (line := describe(cause)):
            raise UserError(f"{where}: {line}") from error
        raise InstantiationException(f"{text}\nfull_key: {where}") from cause


def _find_unknown(config: Any, key: str, text: str) -> str | None:
    """The key of a parameter that a part did not take, by what Python said of it."""
    said = _UNKNOWN.search(text)
    if said is None or not isinstance(config, dict):
        return None
    if said[2] in config and _takes_up(str(config.get("_target_")), said[1]):
        return f"{key}.{said[2]}"
    found = (_find_unknown(value, f"{key}.{name}", text) for name, value in config.items())
    return next(filter(None, found), None)


def _takes_up(target: str, name: str) -> bool:
    """Whether what Python named is a part, or a base of it that its parameters are passed on to."""
    try:
        maker = find_object(target)
    except Exception:  # an import may raise anything
        return False
    return name in [one.__name__ for one in getattr(maker, "__mro__", (maker,))]


def takes(target: str, name: str) -> bool:
    """Whether a function or class takes a parameter of that name, itself or by passing it on."""
    try:
        maker = find_object(target)
        makers = [vars(one)["__init__"] for one in getattr(maker, "__mro__", ()) if _inits(one)]
        return any(name in inspect.signature(one).parameters for one in makers or [maker])
    except Exception:  # an import may raise anything; making the part tells
        return False


def _inits(one: type) -> bool:
    return "__init__" in vars(one)


def check_parts(config: Any, key: str) -> None:
    """Refuse values of another kind than the parts of a config take, before one is made.

    A part is a mapping with ``_target_``. Its parameters have annotations, or those of the base
    class that they are passed on to; what has none, or one that says little, is not checked.
    Numbers are finite, whole numbers have no point, and true is no number. Of our own parts, an
    `int` is not below 0.

    Args:
        config: plain values, in any depth.
        key: what the whole config calls them, for messages.

    Raises:
        UserError: naming the first key with such a value.
    """
    entries: Iterable[tuple[Any, Any]] = ()
    if isinstance(config, dict):
        entries = config.items()
    elif isinstance(config, list):
        entries = enumerate(config)
    kinds: Mapping[str, Any] = {}
    if isinstance(config, dict) and "_target_" in config:
        _check("_target_", config["_target_"], str, key)
        _check("_partial_", config.get("_partial_", False), bool, key)
        kinds = _parameters(config["_target_"])
    for name, value in entries:
        if name in kinds:
            _check(name, value, kinds[name], key)
        check_parts(value, f"{key}.{name}")


def check_settings(config: Mapping[str, Any], key: str, maker: type) -> None:
    """Refuse values of another kind than a class takes, as `check_parts` does.

    Raises:
        UserError: naming the first key with such a value.
    """
    kinds = _hints(maker)
    for name, value in config.items():
        if name in kinds:
            _check(name, value, kinds[name], key)


def _check(name: str, value: Any, kind: Any, key: str) -> None:
    inner, origin = get_args(kind), get_origin(kind)
    if isinstance(value, dict) and isinstance(origin, type) and issubclass(origin, Mapping):
        for entry, found in value.items():
            _check(f"{name}.{entry}", found, inner[1], key)
    elif not _fits(value, kind):
        raise UserError(f"{key}.{name}={show(value)} must be {_in_words(kind)}")


def _is_part(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("_target_"), str)


@functools.cache
def _parameters(target: str) -> Mapping[str, Any]:
    """What a function or class is annotated to take; nothing if it cannot be had."""
    try:
        return _hints(find_object(target))
    except Exception:  # an import may raise anything; making the part tells
        return {}


def _hints(maker: Any) -> dict[str, Any]:
    """By name, annotations of a function's or a class's parameters, passed on ones included."""
    classes = maker.__mro__[::-1] if isinstance(maker, type) else ()
    makers = [vars(one)["__init__"] for one in classes if _inits(one)]
    kinds: dict[str, Any] = {}
    for one in makers or [maker]:
        with contextlib.suppress(
            NameError, TypeError, AttributeError
        ):  # names that type checkers know
            hints = get_type_hints(one, include_extras=True)
            is_ours = one.__module__.startswith("trompe.")
            kinds |= {name: _not_below_0(k) if is_ours else k for name, k in hints.items()}
    return kinds


def _not_below_0(kind: Any) -> Any:
    if kind is int:
        return _Natural
    if get_origin(kind) in (Union, types.UnionType):
        return Union[tuple(map(_not_below_0, get_args(kind)))]  # noqa: UP007
    return kind


def _fits(value: Any, kind: Any) -> bool:
    if _is_part(value):
        return True
    if kind in _PLAIN:
        return _is_plain(value, kind)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _fits(value, inner[0])
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in _known(inner))
    if origin is Literal:
        return value in inner
    if origin is None:
        return not _is_ours(kind)
    if issubclass(origin, Mapping):
        return isinstance(value, dict) and all(_fits(entry, inner[1]) for entry in value.values())
    if not issubclass(origin, Iterable):  # a function or a class
        return False
    each = inner if origin is tuple and Ellipsis not in inner else (inner[0],) * _length(value)
    return _length(value) == len(each) and all(map(_fits, value, each))


def _is_plain(value: Any, kind: Any) -> bool:
    if kind is float:
        return is_number(value)
    if kind is Path:
        return isinstance(value, str)
    if kind is int or kind in _LEAST:
        least = _LEAST.get(kind, -math.inf)
        return isinstance(value, int) and not isinstance(value, bool) and value >= least
    return isinstance(value, kind)


def _is_ours(kind: Any) -> bool:
    """Whether it is a class of parts, so that a value without ``_target_`` can be none."""
    return isinstance(kind, type) and kind.__module__.startswith(("trompe.", "torch.nn."))


def _known(kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    """Those of several that say what is written in a config, if there are any."""
    known = tuple(one for one in kinds if one in _PLAIN or get_origin(one) or _is_ours(one))
    return known or kinds


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list) else -1


def _in_words(kind: Any) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if kind in _PLAIN:
        return _PLAIN[kind]
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_in_words, _known(inner))))
    if origin is Literal:
        return f"one of {', '.join(map(show, inner))}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"a mapping to {_in_words(inner[1])}"
    if isinstance(origin, type) and issubclass(origin, Iterable):
        count = f" of {len(inner)}" if origin is tuple and Ellipsis not in inner else ""
        return f"a list{count}, each {_in_words(inner[0])}"
    name = getattr(kind, "__name__", "part").lower()
    return "a schedule" if name == "schedule" else "a part with _target_"
