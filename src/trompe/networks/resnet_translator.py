"""The generator of CycleGAN: Zhu et al. 2017, https://arxiv.org/abs/1703.10593, sec. 7.2."""

from collections.abc import Callable

from torch import Tensor, nn

from trompe.errors import Count, UserError
from trompe.networks.init import init_normal

Norm = Callable[[int], nn.Module]
_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
_INSIDE = 0.98  # so that the inverse of the tanh is finite


class ResnetTranslator(nn.Module):
    """Images of one kind to images of another: downsampling, residual blocks, upsampling.

    In the paper's words c7s1-64, d128, d256, R256 per block, u128, u64, c7s1-3, with instance
    normalization and ReLUs. As in the authors' code
    (https://github.com/junyanz/pytorch-CycleGAN-and-pix2pix, `ResnetGenerator`): edges are mirrored
    before the 7 x 7 convolutions and in the blocks, and zero before those of stride 2; the
    normalization has no parameters, and convolutions keep the biases that it removes again, so
    that sizes are the published ones (11.38 M for 9 blocks, 7.84 M for 6).

    Args:
        width: channels at full resolution; 2 and 4 times as many at a half and a quarter of it.
        blocks: residual blocks at a quarter of the resolution: 6 for images of 128 pixels, 9 from
            256 pixels on (sec. 7.2).
        channels: of the images, of both kinds.
        upsampling: ``"transposed"`` convolutions, as in the paper; or ``"resize"``, repeating
            pixels before a convolution, which leaves no checkerboard (Odena et al. 2016,
            https://distill.pub/2016/deconv-checkerboard).
        norm: makes a normalization from a number of channels; None: no normalization, and weights
            begin as He et al. 2015 have them, those of the blocks ten times smaller (Wang et al.
            2018, ESRGAN, https://arxiv.org/abs/1809.00219, sec. 3.1 and 4.1). Instance
            normalization takes an image's mean color away, and may leave bright blobs in its place
            (Karras et al. 2020, StyleGAN2, sec. 2).
        skip: add the image to what the layers make of it, before the tanh (Kupyn et al. 2018,
            https://arxiv.org/abs/1711.07064, sec. 3.2, there without the tanh).

    Attributes:
        multiple: what the sides of images must be a multiple of, pixels.

    Raises:
        UserError: if there is no such upsampling.
    """

    multiple = 4

    def __init__(
        self,
        width: Count = 64,
        blocks: int = 9,
        channels: Count = 3,
        upsampling: str = "transposed",
        norm: Norm | None = nn.InstanceNorm2d,
        skip: bool = False,
    ) -> None:
        super().__init__()
        self.skip = skip
        if upsampling not in ("transposed", "resize"):
            raise UserError(f"model.generator.upsampling={upsampling} must be transposed or resize")
        up = _resize if upsampling == "resize" else _transposed
        self.layers: Callable[[Tensor], Tensor] = nn.Sequential(
            *_normed(_mirrored(channels, width, 7), width, norm),
            *_normed(nn.Conv2d(width, 2 * width, 3, 2, 1), 2 * width, norm),
            *_normed(nn.Conv2d(2 * width, 4 * width, 3, 2, 1), 4 * width, norm),
            *(_Block(4 * width, norm) for _ in range(blocks)),
            *_normed(up(4 * width, 2 * width), 2 * width, norm),
            *_normed(up(2 * width, width), width, norm),
            _mirrored(width, channels, 7),
        )
        init_normal(self)
        if norm is None:
            self.init_without_norm()

    def init_without_norm(self) -> None:
        """Keep the features' size from layer to layer; begin with blocks that change little."""
        *inner, _ = (layer for layer in self.modules() if isinstance(layer, _CONVOLUTIONS))
        for layer in inner:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        for block in self.modules():
            if isinstance(block, _Block):
                for parameter in block.parameters():
                    parameter.data *= 0.1

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, channels, H, W) in [-1, 1] to images of the other kind.

        H and W are multiples of 4, and at least 8.

        Raises:
            UserError: if they are not.
        """
        height, width = images.shape[2:]
        # Not the smaller of both: an exported program would hold for wide pictures only, or high.
        if height % self.multiple or width % self.multiple or height < 8 or width < 8:
            raise UserError(
                f"an image of {width} x {height} pixels: this network needs sides of at least 8 "
                f"pixels that are multiples of {self.multiple}"
            )
        made = self.layers(images)
        if self.skip:
            made = made + (_INSIDE * images).atanh()
        return made.tanh()


class _Block(nn.Module):
    """Features plus two convolutions of them; no activation after the sum."""

    def __init__(self, channels: int, norm: Norm | None) -> None:
        super().__init__()
        self.layers: Callable[[Tensor], Tensor] = nn.Sequential(
            *_normed(_mirrored(channels, channels, 3), channels, norm),
            _mirrored(channels, channels, 3),
            *([] if norm is None else [norm(channels)]),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, C, H, W) of features of that shape."""
        return features + self.layers(features)


def _normed(layer: nn.Module, channels: int, norm: Norm | None) -> list[nn.Module]:
    return [layer, *([] if norm is None else [norm(channels)]), nn.ReLU(inplace=True)]


def _mirrored(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, padding_mode="reflect")


def _transposed(inputs: int, outputs: int) -> nn.Module:
    return nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, output_padding=1)


def _resize(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Upsample(scale_factor=2.0), _mirrored(inputs, outputs, 3))
