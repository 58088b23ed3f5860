"""Compare runs, or the trials of a sweep, in one HTML page: FOLDER ...

trompe compare outputs/sweeps/<sweep>
trompe compare latest outputs/dcgan_demo
trompe compare outputs out=page.html title='Losses'
trompe compare outputs/sweeps/<sweep> --serve
"""

from omegaconf import DictConfig

from trompe.command import command, quick_imports, with_folders


@command("compare")
def _compare(cfg: DictConfig) -> None:
    """Compare."""
    with quick_imports():
        from trompe.tasks.compare import compare

    compare(cfg)


def main(arguments: list[str]) -> None:
    """Folders may be given without a key: `trompe compare A B` is `runs=[A,B]`."""
    arguments = ["serve=true" if word == "--serve" else word for word in arguments]
    _compare(with_folders(arguments, "runs"))
