"""A discriminator that looks at images through a fixed network."""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from trompe.errors import Count
from trompe.networks.patch_discriminator import StyleLogits
from trompe.networks.perceptual_network import PerceptualNetwork
from trompe.networks.sight import Sight


class FeatureDiscriminator(nn.Module):
    """Says of each patch whether it is painted in a given style, by what a fixed network sees.

    Sauer et al. 2021, https://arxiv.org/abs/2111.01007, sec. 3: a discriminator on the features of
    a pretrained network learns from far fewer images; one for each layer, without cross-scale
    mixing. Conditioned by projection as `trompe.networks.patch_discriminator`.

    Args:
        style_dim: length of what describes a style.
        network: its content layers are looked at; it is not trained, and in no checkpoint.
        width: channels of each layer's first convolution; twice as many in its second.
    """

    def __init__(self, style_dim: Count, network: PerceptualNetwork, width: Count = 64) -> None:
        super().__init__()
        self.sight = Sight(network)
        self.heads = nn.ModuleList(Head(style_dim, c, width) for c in self.sight.channels)

    def forward(self, images: Tensor, style: Tensor) -> Tensor:
        """Logits (N, P) of the patches of images (N, 3, H, W) in styles (N, style_dim)."""
        maps = self.sight(images)
        logits = [head(seen, style).flatten(1) for head, seen in zip(self.heads, maps, strict=True)]
        return torch.cat(logits, 1)


class Head(StyleLogits):
    """What judges one layer of a `FeatureDiscriminator`."""

    def __init__(self, style_dim: int, channels: int, width: int) -> None:
        layers = nn.Sequential(
            spectral_norm(nn.Conv2d(channels, width, 1)),
            nn.LeakyReLU(0.2, inplace=True),
            spectral_norm(nn.Conv2d(width, 2 * width, 4, 2, 1)),
            nn.LeakyReLU(0.2, inplace=True),
        )
        # Features have larger values than those of a network that is learned from the beginning.
        super().__init__(style_dim, layers, 2 * width, (2 * width) ** 0.5)
