"""Train an experiment, or resume a run (run=FOLDER, resume=auto)."""

from omegaconf import DictConfig

from trompe.command import command, quick_imports


@command("train")
def main(cfg: DictConfig) -> None:
    """Compose the config and train."""
    with quick_imports():
        from trompe.tasks.train import train

    train(cfg)
