"""The discriminator that looks through a fixed network."""

import torch

from trompe.networks.feature_discriminator import FeatureDiscriminator
from trompe.networks.perceptual_network import EfficientNetLite0Perceptual, RandomConvPerceptual

STYLE = 12


def make() -> FeatureDiscriminator:
    torch.manual_seed(0)
    network = EfficientNetLite0Perceptual((), ("stem", "b2", "b4"))
    return FeatureDiscriminator(STYLE, network, width=8)


def test_a_logit_for_each_patch_of_each_layer() -> None:
    logits = make()(torch.zeros(2, 3, 64, 64), torch.randn(2, STYLE))
    assert logits.shape == (2, 16 * 16 + 8 * 8 + 4 * 4)  # strides 2, 4 and 8, halved once more


def test_gradients_reach_the_image_and_not_the_network() -> None:
    discriminator = make()
    network = discriminator.sight.network
    before = network.fingerprint
    images = torch.randn(1, 3, 64, 64, requires_grad=True)
    discriminator(images, torch.randn(1, STYLE)).sum().backward()
    assert images.grad is not None and images.grad.abs().sum() > 0
    assert all(p.grad is None for p in network.parameters()) and network.fingerprint == before
    assert all(p.grad is not None for p in discriminator.parameters())


def test_the_network_is_in_no_checkpoint() -> None:
    names = {name.partition(".")[0] for name in make().state_dict()}
    assert names == {"heads"}


def test_the_style_decides() -> None:
    discriminator = FeatureDiscriminator(STYLE, RandomConvPerceptual(), width=8).eval()
    images = torch.randn(1, 3, 64, 64)
    a, b = (discriminator(images, torch.randn(1, STYLE)) for _ in range(2))
    assert not torch.allclose(a, b)


def test_it_learns_to_tell_two_textures_apart() -> None:
    """Stripes are of the first style, spots of the second; a step is enough to tell by sign."""
    discriminator = make()
    row = torch.arange(64) % 8 < 4
    stripes = (row.float() * 2 - 1).expand(1, 3, 64, 64)
    spots = ((row[:, None] & row[None]).float() * 2 - 1).expand(1, 3, 64, 64)
    styles = torch.eye(2, STYLE) * 4
    optimizer = torch.optim.Adam(discriminator.parameters(), 0.01)
    images = torch.cat([stripes, spots])
    for _ in range(30):
        right, wrong = discriminator(images, styles), discriminator(images, styles.flip(0))
        loss = torch.relu(1 - right).mean() + torch.relu(1 + wrong).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 1.0  # 2 where it cannot tell
