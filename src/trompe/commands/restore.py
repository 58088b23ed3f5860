"""Restore a picture: without noise, JPEG's faults or gaps, or larger.

trompe restore task=denoise picture=me.jpg
trompe restore task=inpaint picture=me.jpg mask=white_where_it_is_missing.png
trompe restore task=upscale picture=small.png factor=4
trompe restore task=upscale picture=small.png run=latest
"""

from omegaconf import DictConfig

from trompe.command import command, quick_imports


@command("restore", bare="picture")
def main(cfg: DictConfig) -> None:
    """Compose the config and restore."""
    with quick_imports():
        from trompe.tasks.restore import restore

    restore(cfg)
