"""Measure a run's checkpoint (run=FOLDER) or any two sets of images (generated=, reference=).

trompe evaluate latest
trompe evaluate latest metrics=[efflite0] checkpoint=last
trompe evaluate generated=images.zip reference=cifar10
"""

from omegaconf import DictConfig

from trompe.command import command, quick_imports


@command("evaluate", bare="run")
def main(cfg: DictConfig) -> None:
    """Compose the config and evaluate."""
    with quick_imports():
        from trompe.tasks.evaluate import evaluate

    evaluate(cfg)
