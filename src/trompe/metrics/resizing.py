"""Resizing before a feature network, which alone can move a FID by several points.

Parmar, Zhang and Zhu 2022, https://arxiv.org/abs/2104.11222, sec. 3: filters that do not widen with
the reduction factor alias, and the artifacts are measured as if the generator had made them.
"""

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import interpolate

from trompe.errors import UserError
from trompe.extras import require


def _antialiased(mode: str) -> Callable[[Tensor, int], Tensor]:
    def filtered(pixels: Tensor, size: int) -> Tensor:
        resized = interpolate(pixels, (size, size), mode=mode, antialias=True)
        # Bicubic overshoots at edges; a stored image could not.
        return resized.clamp(0, 255)

    return filtered


def _tensorflow1(pixels: Tensor, size: int) -> Tensor:
    from torch_fidelity.interpolate_compat_tensorflow import (
        interpolate_bilinear_2d_like_tensorflow1x,
    )

    resize_as: Callable[..., Tensor] = interpolate_bilinear_2d_like_tensorflow1x
    return resize_as(pixels, size=(size, size), align_corners=False)


DEFAULT = "bicubic-antialias"
FILTERS: dict[str, Callable[[Tensor, int], Tensor]] = {
    DEFAULT: _antialiased("bicubic"),  # Pillow's, as clean-fid resizes
    "bilinear-antialias": _antialiased("bilinear"),  # Pillow's
    "bilinear-tensorflow1": _tensorflow1,  # as the original FID and torch-fidelity; it aliases
}


def check_filter(name: str) -> None:
    """Refuse an unknown filter, or one whose package is not installed.

    Raises:
        UserError: listing those that exist, or naming the package.
    """
    if name not in FILTERS:
        raise UserError(
            f"features: resizing={name} is not known: choose one of {', '.join(FILTERS)}"
        )
    if FILTERS[name] is _tensorflow1:
        require("torch_fidelity", f"features: resizing={name}")


def resize(pixels: Tensor, size: int, name: str = DEFAULT) -> Tensor:
    """Pixels float (N, C, H, W) in [0, 255] -> (N, C, `size`, `size`) in [0, 255].

    Images that already have the size are returned as they are.
    """
    return pixels if pixels.shape[2:] == (size, size) else FILTERS[name](pixels, size)
