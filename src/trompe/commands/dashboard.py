"""Open the local dashboard on all runs recorded with logger=[local], the default.

trompe dashboard
trompe dashboard project=mine
trompe dashboard host=0.0.0.0
"""

from omegaconf import DictConfig

from trompe.command import command


@command("dashboard")
def main(cfg: DictConfig) -> None:
    """Show it until Ctrl-C."""
    from trompe.tasks.dashboard import show

    show(cfg)
