"""R3GAN's networks: sizes, initial weights, and what a block is."""

import math
from collections.abc import Callable

import pytest
import torch
from torch.nn.functional import conv2d, leaky_relu

from trompe.errors import UserError
from trompe.networks.r3gan import (
    Block,
    R3GANDiscriminator,
    R3GANGenerator,
    Resample,
    widths_of_stages,
)


def test_sizes_are_the_published_ones() -> None:
    # Huang et al. 2024, appendix: widths 768, two blocks at each of four sides.
    with torch.device("meta"):
        networks = R3GANGenerator(32), R3GANDiscriminator(32)
    counts = [sum(p.numel() for p in network.parameters()) for network in networks]
    assert counts == [20_732_160, 20_683_776]


def test_a_block_is_the_identity_at_first() -> None:
    block = Block(8, 2, 4, blocks=16)
    x = torch.randn(2, 8, 4, 4)
    assert torch.equal(block(x), x)
    gain = math.sqrt(2 / 1.04) * 16**-0.25
    first, second = block.layers[0], block.layers[2]
    assert second.groups == 4
    wide = Block(256, 2, 16, blocks=16)
    assert wide.layers[0].weight.std().item() == pytest.approx(gain / 16, rel=0.02)
    assert wide.layers[2].weight.std().item() == pytest.approx(gain / 12, rel=0.02)
    with torch.no_grad():
        block.layers[1].bias.normal_()
        block.layers[4].weight.normal_()
    inside = leaky_relu(conv2d(x, first.weight) + block.layers[1].bias[:, None, None], 0.2)
    inside = leaky_relu(conv2d(inside, second.weight, padding=1, groups=4), 0.2)
    torch.testing.assert_close(block(x), x + conv2d(inside, block.layers[4].weight))


def test_resampling_changes_side_and_width() -> None:
    x = torch.randn(2, 4, 8, 8)
    assert Resample(4, 6, up=True)(x).shape == (2, 6, 16, 16)
    assert Resample(4, 6, up=False)(x).shape == (2, 6, 4, 4)
    same = Resample(4, 4, up=True)
    assert not list(same.parameters())


def test_widths_end_at_full_resolution() -> None:
    assert widths_of_stages(32, [4, 3, 2, 1]) == [4, 3, 2, 1]
    assert widths_of_stages(128, [4, 3, 2, 1]) == [4, 4, 4, 3, 2, 1]
    assert widths_of_stages(16, [4, 3, 2, 1]) == [3, 2, 1]


def test_images_and_logits() -> None:
    torch.manual_seed(0)
    generator = R3GANGenerator(16, widths=[16, 8], group_width=8, latent_dim=4, classes=3)
    discriminator = R3GANDiscriminator(16, widths=[16, 8], group_width=8, classes=3)
    z, labels = torch.randn(5, 4), torch.tensor([0, 1, 2, 0, 1])
    images = generator(z, labels)
    assert images.shape == (5, 3, 16, 16) and images.std() > 0.1
    logits = discriminator(images, labels)
    assert logits.shape == (5,)
    other = (labels + 1) % 3
    assert not torch.allclose(generator(z, other), images)
    assert not torch.allclose(discriminator(images, other), logits)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: R3GANGenerator(33), r"data.resolution=33: this network needs 16, 32"),
        (lambda: R3GANGenerator(32, widths=[]), r"widths=\[\] must name at least one"),
        (
            lambda: R3GANDiscriminator(32, widths=[12]),
            r"group_width=16 must divide 24, the 12 maps",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(make: Callable[[], object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()
