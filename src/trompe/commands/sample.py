"""Write images, a grid and an interpolation from a trained run."""

from omegaconf import DictConfig

from trompe.command import command, quick_imports


@command("sample")
def main(cfg: DictConfig) -> None:
    """Compose the config and sample."""
    with quick_imports():
        from trompe.tasks.sample import sample

    sample(cfg)
