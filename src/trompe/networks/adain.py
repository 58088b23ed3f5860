"""The style network of Huang and Belongie 2017, https://arxiv.org/abs/1703.06868: AdaIN, decoded.

A fixed encoder, whose features get the style's means and standard deviations (eq. 8), and a
trained decoder (sec. 5; appendix, without normalization).
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from trompe.errors import Count, UserError
from trompe.losses.perceptual import adaptive_instance_normalization
from trompe.networks.perceptual_network import PerceptualNetwork


class AdaINDecoder(nn.Module):
    """Content images and a style's statistics to stylized images.

    Args:
        style_dim: length of what describes a style.
        encoder: the network whose style layers describe styles; it is not trained.
        layer: the style layer at which the content gets the style.
        width: channels of the decoder at full resolution; twice as many at each halving of it.

    Raises:
        UserError: if `layer` is not one of the encoder's style layers.
    """

    def __init__(
        self, style_dim: Count, encoder: PerceptualNetwork, layer: str, width: Count = 32
    ) -> None:
        super().__init__()
        if layer not in encoder.style_layers:
            known = ", ".join(encoder.style_layers)
            raise UserError(
                f"model.generator.layer={layer} is not a style layer: choose from {known}"
            )
        # In a tuple, to keep it out of the checkpoints: its weights come with its package.
        self._encoder = (encoder,)
        self.layer = layer
        side = 64
        maps = encoder(torch.zeros(1, 3, side, side), encoder.style_layers)
        before = encoder.style_layers[: encoder.style_layers.index(layer)]
        self._start = 2 * sum(maps[name].shape[1] for name in before)
        self._channels, found = maps[layer].shape[1:3]
        halvings = (side // found).bit_length() - 1
        widths = [self._channels, *(width * 2**i for i in reversed(range(halvings)))]
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1, padding_mode="reflect") for a, b in pairwise(widths)
        )
        self.last = nn.Conv2d(widths[-1], 3, 3, padding=1, padding_mode="reflect")
        for module in (*self.layers, self.last):
            assert isinstance(module, nn.Conv2d) and module.bias is not None
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)
        with torch.no_grad():
            self.last.weight.mul_(0.1)

    @property
    def encoder(self) -> PerceptualNetwork:
        """The network that sees the content."""
        return self._encoder[0]

    def look_through(self, network: PerceptualNetwork) -> None:
        """See the content with this network, which has the same weights, from now on."""
        self._encoder = (network,)

    def predict(self, style: Tensor) -> Tensor:
        """The layer's means and standard deviations (N, 2 C), of descriptions (N, style_dim)."""
        own = style[:, self._start : self._start + 2 * self._channels]
        mean, log_std = own.chunk(2, 1)
        return torch.cat([mean, log_std.exp()], 1)

    def forward(self, content: Tensor, parameters: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [-1, 1], H and W multiples of 4, in the style of `parameters`."""
        height, width = content.shape[2:]
        encoder = self.encoder.to(content.device)
        with torch.autocast(content.device.type, enabled=False):
            features = encoder(content.float(), (self.layer,))[self.layer]
            mean, std = parameters.float().chunk(2, 1)
            features = adaptive_instance_normalization(features, mean, std)
        for layer in self.layers:
            features = interpolate(relu(layer(features)), scale_factor=2.0, mode="nearest")
        return torch.tanh(self.last(features))[..., :height, :width]
