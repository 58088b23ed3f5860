"""Train an experiment, or resume a run (run=FOLDER, resume=auto).

trompe train
trompe train experiment=dcgan_cifar10 data.path=cifar10.zip kimg=1000
trompe train run=outputs/<experiment>/<run>
"""

from omegaconf import DictConfig

from trompe.command import command, quick_imports


@command("train", bare="run")
def main(cfg: DictConfig) -> None:
    """Compose the config and train."""
    with quick_imports():
        from trompe.tasks.train import train

    train(cfg)
