"""Write images, a grid and an interpolation from a trained run."""

from omegaconf import DictConfig

from trompe.command import command


@command("sample")
def main(cfg: DictConfig) -> None:
    """Compose the config and sample."""
    from trompe.tasks.sample import sample

    sample(cfg)
