"""Give pictures the style of others with a trained run."""

from omegaconf import DictConfig

from trompe.command import command, quick_imports


@command("stylize")
def main(cfg: DictConfig) -> None:
    """Compose the config and stylize."""
    with quick_imports():
        from trompe.tasks.stylize import stylize

    stylize(cfg)
