"""Run an experiment again from its folder, and report whether the result is the same.

trompe reproduce latest
trompe reproduce latest ticks=2
trompe reproduce outputs/<experiment>/<run> code=recorded
"""

from omegaconf import DictConfig

from trompe.command import command, quick_imports, with_folder


@command("reproduce")
def _reproduce(cfg: DictConfig) -> None:
    """Reproduce."""
    with quick_imports():
        from trompe.tasks.reproduce import reproduce

    reproduce(cfg)


def main(arguments: list[str]) -> None:
    """The folder may be given without a key: `trompe reproduce FOLDER` is `run=FOLDER`."""
    _reproduce(with_folder(arguments, "run"))
