"""Run an experiment again from its folder, and report whether the result is the same.

trompe reproduce latest
trompe reproduce latest ticks=2
trompe reproduce outputs/<experiment>/<run> code=recorded
"""

from omegaconf import DictConfig

from trompe.command import command, quick_imports


@command("reproduce", bare="run")
def main(cfg: DictConfig) -> None:
    """Compose the config and reproduce."""
    with quick_imports():
        from trompe.tasks.reproduce import reproduce

    reproduce(cfg)
