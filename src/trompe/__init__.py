"""trompe: a Hydra-configured experiment framework for adversarial image models."""

__version__ = "0.1.0"
