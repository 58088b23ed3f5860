"""Ghiasi's network from its package: sizes, strength, and that it takes the style."""

import numpy as np
import pytest
import skimage
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from trompe.data.painter import PaintedSource
from trompe.images import to_signed
from trompe.metrics.pairs import PatchDistance
from trompe.stylizers.ghiasi_onnx import GhiasiONNX


def tensor(image: np.ndarray) -> Tensor:
    return to_signed(torch.from_numpy(image.copy()).permute(2, 0, 1)[None])


@pytest.fixture(scope="module")
def stylizer() -> GhiasiONNX:
    return GhiasiONNX()


@pytest.mark.parametrize("size", [(96, 128), (40, 200), (500, 90)])
def test_pictures_keep_their_size_and_take_the_style(
    stylizer: GhiasiONNX, size: tuple[int, int]
) -> None:
    content = interpolate(tensor(skimage.data.coffee()), size, mode="bilinear", antialias=True)
    style = tensor(PaintedSource(2, 160, 0).read(1))
    code = stylizer.describe(style)
    assert code.shape == (1, 100)
    made = stylizer.render(content, code, 1)
    assert made.shape == content.shape and float(made.abs().max()) <= 1
    measure = PatchDistance()
    assert measure(made, content, style) < 0.8 * measure(content, content, style)
    torch.testing.assert_close(stylizer.render(content, code, 0), content, atol=1e-5, rtol=0)
    half = stylizer.render(content, code, 0.5)
    assert (half - content).abs().mean() < (made - content).abs().mean()
