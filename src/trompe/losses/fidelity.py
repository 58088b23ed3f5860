"""How near a picture is to the good one."""

import torch
from torch import Tensor


def psnr(squared_error: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of a mean squared error of pictures in [0, 1]; dB, at most 100."""
    return -10 * torch.log10(squared_error.clamp(min=1e-10))
