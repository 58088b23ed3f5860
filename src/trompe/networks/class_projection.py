"""Labels in networks: Miyato and Koyama 2018, https://arxiv.org/abs/1802.05637."""

import math

from torch import Tensor, nn


class ClassProjection(nn.Module):
    """What a discriminator's features say for a class: their product with its embedding.

    Miyato and Koyama 2018, eq. 4 and Figure 2: the term is added to the unconditional logit.

    Args:
        features: length of the features.
        classes: number of classes.
        scaled: whether products are divided by the square root of that length, which keeps the
            variance, as in StyleGAN2-ADA's published code; otherwise as in the paper.
    """

    def __init__(self, features: int, classes: int, scaled: bool = True) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, features)
        self.scale = 1 / math.sqrt(features) if scaled else 1.0

    def forward(self, features: Tensor, labels: Tensor | None) -> Tensor:
        """Features (N, D) and labels (N,) to (N,)."""
        products: Tensor = (self.embedding(labels) * features.float()).sum(1)
        return products * self.scale


def make_projection(features: int, classes: int, std: float = 0.02) -> ClassProjection | None:
    """As in the paper, its weights from N(0, std) as the other layers'; None without classes."""
    if not classes:
        return None
    projection = ClassProjection(features, classes, scaled=False)
    nn.init.normal_(projection.embedding.weight, std=std)
    return projection
