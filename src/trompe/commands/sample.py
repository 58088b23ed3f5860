"""Write images, a grid and an interpolation from a trained run.

trompe sample latest
trompe sample latest seeds=0-15 checkpoint=last
trompe sample outputs/<experiment>/<run> n=256 out=images
trompe sample latest label=[cat,dog]
"""

from omegaconf import DictConfig

from trompe.command import command, quick_imports


@command("sample", bare="run")
def main(cfg: DictConfig) -> None:
    """Compose the config and sample."""
    with quick_imports():
        from trompe.tasks.sample import sample

    sample(cfg)
