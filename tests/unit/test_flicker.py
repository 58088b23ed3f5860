"""The flicker of animations."""

import pytest
import torch

from trompe.stylizers.flicker import Flicker


def test_frames_are_compared_with_their_neighbors_only() -> None:
    still, (first, second) = torch.zeros(1, 3, 8, 8), torch.rand(2, 1, 3, 8, 8)
    flicker = Flicker()
    flicker.add(still, first)
    flicker.skip()
    flicker.add(still, second)
    assert flicker.means() is None
    flicker.add(still, first)
    means = flicker.means()
    assert means is not None
    assert means[1] == pytest.approx(float((first - second).abs().mean()) * 127.5, rel=1e-5)
