"""Whose colors a stylized picture has: the style's, the content's, or the content's palette."""

import torch
from torch import Tensor

from trompe.networks.palette import color_map, palette_of, recolor

# style: as the stylizer makes them. keep: the content's, pixel by pixel, and the picture's
# brightness. match: of the style as if it had been painted in the content's palette.
CHOICES = ("style", "keep", "match")

# ITU-R BT.601: RGB to brightness and two differences of color.
_TO_YIQ = torch.tensor(
    [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]]
)


def with_colors(picture: Tensor, content: Tensor) -> Tensor:
    """The brightness of one picture with the colors of another, both (1, 3, H, W) in [-1, 1].

    Gatys et al. 2017, https://arxiv.org/abs/1611.07865, sec. 5.2: luminance-only transfer, by YIQ.
    """
    matrix = _TO_YIQ.to(picture.device)
    to_rgb = matrix.inverse()
    made = torch.empty_like(picture)
    # Some rows at a time: large pictures have large intermediate values.
    for rows, own, out in zip(*(x.split(256, 2) for x in (picture, content, made)), strict=True):
        brightness, colors = (torch.einsum("ij,njhw->nihw", matrix, x) for x in (rows, own))
        joined = torch.cat([brightness[:, :1], colors[:, 1:]], 1)
        out.copy_(torch.einsum("ij,njhw->nihw", to_rgb, joined).clamp_(-1, 1))
    return made


def with_palette(style: Tensor, content: Tensor) -> Tensor:
    """The style's picture in the palette of the content, in [-1, 1].

    Gatys et al. 2017, sec. 5.1: color histogram matching, by mean and covariance.
    """
    colors = color_map(palette_of(style), palette_of(content))
    return recolor(style, *colors).clamp(-1, 1)
