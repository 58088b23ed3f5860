"""Compare runs, or the trials of a sweep, in one HTML page: FOLDER ...

trompe compare outputs/sweeps/<sweep>
trompe compare latest outputs/dcgan_demo
trompe compare outputs out=page.html title='Losses'
"""

from omegaconf import DictConfig

from trompe.command import command, quick_imports, with_folders
from trompe.extras import require


@command("compare")
def _compare(cfg: DictConfig) -> None:
    """Compare."""
    require("plotly", "compare")  # checked first: its extra brings the others too
    with quick_imports():
        from trompe.tasks.compare import compare

    compare(cfg)


def main(arguments: list[str]) -> None:
    """Folders may be given without a key: `trompe compare A B` is `runs=[A,B]`."""
    _compare(with_folders(arguments, "runs"))
