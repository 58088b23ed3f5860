"""Turn a trained run into files that work without trompe, and prove it.

trompe export latest
trompe export embedded format=[web]
trompe export latest format=[onnx] size=256 batch=1
"""

from omegaconf import DictConfig

from trompe.command import command, quick_imports


@command("export", bare="run")
def main(cfg: DictConfig) -> None:
    """Compose the config and export."""
    with quick_imports():
        from trompe.tasks.export import export

    export(cfg)
