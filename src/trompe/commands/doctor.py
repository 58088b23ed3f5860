"""Tell what this machine has, what is missing, and how exactly runs repeat on it.

trompe doctor
trompe doctor anchor=false
trompe doctor add_to=anchors.json
"""

from omegaconf import DictConfig

from trompe.command import command, quick_imports


@command("doctor")
def main(cfg: DictConfig) -> None:
    """Look at this machine."""
    with quick_imports():
        from trompe.tasks.doctor import doctor

    doctor(cfg)
