"""LPIPS: how different two pictures look, by a network that was fitted to human judgment."""

from collections.abc import Callable

import torch
from torch import Tensor
from torchmetrics.functional.image.lpips import _LPIPS
from torchvision.models import AlexNet_Weights, SqueezeNet1_1_Weights, VGG16_Weights

from trompe.errors import UserError
from trompe.metrics.pairs import PairMeasure
from trompe.networks.pretrained import FrozenNetwork
from trompe.weights import find_file, open_weights

# Weights of the backbones, by the names that these have in LPIPS.
_BACKBONES = {
    "alex": AlexNet_Weights.IMAGENET1K_V1,
    "vgg": VGG16_Weights.IMAGENET1K_V1,
    "squeeze": SqueezeNet1_1_Weights.IMAGENET1K_V1,
}


class LPIPS(PairMeasure):
    """LPIPS 0.1 between picture and content; from 0, rarely above 1.

    Zhang et al. 2018, https://arxiv.org/abs/1801.03924, sec. 3, eq. 1. The fitted heads
    come with torchmetrics, the backbone's ImageNet weights do not. Recorded as ``lpips_<network>``.

    Args:
        network: ``alex`` (which its authors recommend as a measure), ``vgg`` or ``squeeze``.
        weights: path of torchvision's state dict of the backbone; None takes it from torch's
            cache or downloads it.

    Raises:
        UserError: if there is no such network, or there are no weights.
    """

    def __init__(self, network: str = "alex", weights: str | None = None) -> None:
        if network not in _BACKBONES:
            raise UserError(
                f"lpips: no such network: {network}; choose from {', '.join(_BACKBONES)}"
            )
        distance = _Distance(network, weights)
        protocol = {"features": distance.name, "features_sha256": distance.fingerprint}
        super().__init__(distance.name, protocol)
        self.distance = distance

    def forward(self, picture: Tensor, content: Tensor, style: Tensor) -> Tensor:
        """See `PairMeasure`."""
        return self.distance(picture, content)


class _Distance(FrozenNetwork):
    __call__: Callable[..., Tensor]

    def __init__(self, network: str, weights: str | None) -> None:
        super().__init__(f"lpips_{network}", f"lpips 0.1/{network}")
        # Without backbone weights, which torchmetrics can only download; its heads are loaded.
        self.lpips = _LPIPS(net=network, pnet_rand=True)  # type: ignore[arg-type]
        path = find_file(weights, _BACKBONES[network].url)
        with open_weights(path):
            stored = torch.load(path, map_location="cpu", weights_only=True)
            tensors = [tensor for name, tensor in stored.items() if name.startswith("features.")]
            # The same layers in the same order, under other names.
            backbone = dict(zip(self.lpips.net.state_dict(), tensors, strict=True))
            self.lpips.net.load_state_dict(backbone)
        self.freeze()

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """The distances (N,) of images (N, 3, H, W) in [-1, 1]."""
        distances: Tensor = self.lpips(first, second)
        return distances.flatten()
