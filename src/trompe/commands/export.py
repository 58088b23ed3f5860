"""Turn a trained run into files that work without trompe, and prove it."""

from omegaconf import DictConfig

from trompe.command import command, quick_imports


@command("export")
def main(cfg: DictConfig) -> None:
    """Compose the config and export."""
    with quick_imports():
        from trompe.tasks.export import export

    export(cfg)
