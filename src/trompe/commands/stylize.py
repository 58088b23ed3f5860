"""Give pictures the style of others by a trained run."""

from omegaconf import DictConfig

from trompe.command import command


@command("stylize")
def main(cfg: DictConfig) -> None:
    """Compose the config and stylise."""
    from trompe.stylizing import stylize

    stylize(cfg)
