"""Pictures whose sides are no multiple of what a network needs: edges repeated, and cut off again.

By index rather than by padding and slicing, whose strides would decide for which sizes an exported
program holds.
"""

import torch
from torch import Tensor


def repeat_edges(images: Tensor, multiple: int) -> Tensor:
    """Images (N, C, H, W) with rows below and columns on the right repeating the last ones.

    Args:
        images: of any size.
        multiple: H and W become the next multiples of it.
    """
    for dim in (2, 3):
        size = images.shape[dim]
        if not _is_known(size) or size % multiple:
            wanted = (size + multiple - 1) // multiple * multiple
            index = torch.arange(wanted, device=images.device).clamp(max=size - 1)
            images = images.index_select(dim, index)
    return images


def cut_edges(images: Tensor, height: int, width: int) -> Tensor:
    """The upper left (N, C, height, width) of images."""
    for dim, size in ((2, height), (3, width)):
        if not _is_known(size) or size != images.shape[dim]:
            images = images.index_select(dim, torch.arange(size, device=images.device))
    return images


def _is_known(size: int) -> bool:
    """Whether it is a number, and not the symbol of a program that is being traced."""
    return isinstance(size, int)
