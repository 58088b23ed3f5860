"""Train an experiment, or resume a run (run=FOLDER, resume=auto)."""

from omegaconf import DictConfig

from trompe.command import command


@command("train")
def main(cfg: DictConfig) -> None:
    """Compose the config and train."""
    from trompe.tasks.train import train

    train(cfg)
