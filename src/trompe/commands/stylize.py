"""Give pictures the style of others with a trained run.

trompe stylize content=me.jpg style=painting.jpg
trompe stylize content='photos/*.jpg' style=paintings matrix=true
trompe stylize run=latest content=me.jpg style=a.jpg strength=0.7
"""

from omegaconf import DictConfig

from trompe.command import command, quick_imports


@command("stylize", bare="run")
def main(cfg: DictConfig) -> None:
    """Compose the config and stylize."""
    with quick_imports():
        from trompe.tasks.stylize import stylize

    stylize(cfg)
