"""A fixed random order, for images that are sorted by class in their folder."""

import torch
from torch import Tensor

from trompe.engine.randomness import keyed_generator


def random_order(count: int, purpose: str) -> Tensor:
    """A permutation (count,) that depends on `count` and `purpose` only."""
    return torch.randperm(count, generator=keyed_generator(0, purpose, 0))


def shuffled(features: Tensor) -> Tensor:
    """Features (N, D) in a random order, so that the first few are a fair sample."""
    return features[random_order(len(features), "shuffled").to(features.device)]
