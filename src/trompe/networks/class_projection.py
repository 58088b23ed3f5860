"""Labels in networks: Miyato and Koyama 2018, https://arxiv.org/abs/1802.05637."""

import math

from torch import Tensor, nn


class ClassProjection(nn.Module):
    """What a discriminator's features say for a class: their product with its embedding.

    Miyato and Koyama 2018, eq. 4 and Figure 2: the term is added to the unconditional logit. Scaled
    to keep the variance, as in StyleGAN2-ADA's published code.

    Args:
        features: length of the features.
        classes: number of classes.
    """

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, features)
        self.scale = 1 / math.sqrt(features)

    def forward(self, features: Tensor, labels: Tensor | None) -> Tensor:
        """Features (N, D) and labels (N,) to (N,)."""
        products: Tensor = (self.embedding(labels) * features.float()).sum(1)
        return products * self.scale
