"""The 70 x 70 PatchGAN: a discriminator that judges overlapping patches of one size."""

from torch import Tensor, nn

from trompe.errors import Count, UserError
from trompe.networks.init import init_normal
from trompe.networks.patch_discriminator import patch_layers, patch_widths


class PatchGAN(nn.Module):
    """Says of each patch of an image whether it is real; unconditional, at one scale.

    Isola et al. 2017, https://arxiv.org/abs/1611.07004, sec. 6.1.2 (C64-C128-C256-C512, then one
    channel), with instance normalization as in Zhu et al. 2017, https://arxiv.org/abs/1703.10593,
    sec. 7.2. Their code keeps the biases of convolutions before a normalization, which removes them
    again; so does this, so that sizes are the published ones.

    Args:
        width: channels of the first layer, at most 8 times as many later.
        layers: convolutions of stride 2; a patch is 34, 70 or 142 pixels wide for 2, 3 or 4.
        channels: of the images.
    """

    def __init__(self, width: Count = 64, layers: int = 3, channels: Count = 3) -> None:
        super().__init__()
        widths = patch_widths(width, layers)
        self.layers = patch_layers([channels, *widths], norm=nn.InstanceNorm2d)
        self.layers.append(nn.Conv2d(widths[-1], 1, 4, 1, 1))
        # With a smaller image, at most one value would be left to normalize.
        self.smallest = 3 * 2**layers
        init_normal(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, 1, h, w) of the patches of images (N, channels, H, W) in [-1, 1].

        Raises:
            UserError: if the images have fewer than 3 * 2^layers pixels per side.
        """
        if min(images.shape[2:]) < self.smallest:
            raise UserError(
                f"data.resolution={min(images.shape[2:])}: this network needs at least "
                f"{self.smallest} pixels; set fewer layers of the discriminator"
            )
        logits: Tensor = self.layers(images)
        return logits
