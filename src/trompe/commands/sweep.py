"""Launch many runs of an experiment, chosen by a sampler, or resume them (resume=FOLDER).

trompe sweep experiment=dcgan_demo sweep=lr_grid jobs=2
trompe sweep experiment=dcgan_demo model.loss=hinge,non_saturating seed=1,2,3
trompe sweep resume=outputs/sweeps/<sweep>
"""

from omegaconf import DictConfig

from trompe.command import command, quick_imports, with_folder
from trompe.sweeps.arguments import split_arguments


def main(arguments: list[str]) -> None:
    """Compose the sweep's own config; all other keys go to the trials."""
    own, flags, experiment = split_arguments(with_folder(arguments, "resume"))

    @command("sweep")
    def task(cfg: DictConfig) -> None:
        """Sweep."""
        with quick_imports():
            from trompe.tasks.sweep import sweep

        sweep(cfg, flags, experiment)

    task(own)
