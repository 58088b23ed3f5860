"""A discriminator that looks at images through a fixed network."""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from trompe.errors import Count
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


class Head(nn.Module):
    """What judges one layer of a `FeatureDiscriminator`."""

    def __init__(self, style_dim: int, channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            spectral_norm(nn.Conv2d(channels, width, 1)),
            nn.LeakyReLU(0.2, inplace=True),
            spectral_norm(nn.Conv2d(width, 2 * width, 4, 2, 1)),
            nn.LeakyReLU(0.2, inplace=True),
        )
        self.logits = spectral_norm(nn.Conv2d(2 * width, 1, 1))
        self.embedding = nn.Sequential(
            nn.LayerNorm(style_dim), spectral_norm(nn.Linear(style_dim, 2 * width, bias=False))
        )

    def forward(self, seen: Tensor, style: Tensor) -> Tensor:
        """Logits (N, h, w): how real, plus how much in this style."""
        features = self.layers(seen)
        # Features have larger values than those of a network that is learned from the beginning.
        direction = self.embedding(style)[..., None, None] / features.shape[1] ** 0.5
        logits: Tensor = self.logits(features) + (features * direction).sum(1, keepdim=True)
        return logits.squeeze(1)
