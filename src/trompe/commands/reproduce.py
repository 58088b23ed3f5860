"""Run an experiment again from its folder, and say whether it comes out the same."""

from omegaconf import DictConfig

from trompe.command import command, quick_imports, with_folder


@command("reproduce")
def _reproduce(cfg: DictConfig) -> None:
    """Reproduce."""
    with quick_imports():
        from trompe.tasks.reproduce import reproduce

    reproduce(cfg)


def main(arguments: list[str]) -> None:
    """The folder may be given as it is: `trompe reproduce FOLDER` is `run=FOLDER`."""
    _reproduce(with_folder(arguments, "run"))
