"""trompe: a Hydra-configured experiment framework for adversarial image models."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trompe.loading import Run, load, stylize

__all__ = ["Run", "load", "stylize"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`load`, `stylize` and `Run` when they are asked for: the command line imports no torch."""
    if name in __all__:
        from trompe import loading

        return getattr(loading, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
