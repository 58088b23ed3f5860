"""Give pictures the style of others with a trained run."""

from omegaconf import DictConfig

from trompe.command import command


@command("stylize")
def main(cfg: DictConfig) -> None:
    """Compose the config and stylize."""
    from trompe.tasks.stylize import stylize

    stylize(cfg)
