"""The discriminator of Projected GANs: what it sees, what it learns, and who may judge it."""

from collections.abc import Mapping

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, interpolate

from trompe.errors import UserError
from trompe.metrics.feature_comparison import FeatureComparison, teachers_of
from trompe.metrics.features import EfficientNetLite0, EfficientNetLite2, FeatureNetwork
from trompe.networks.perceptual_network import EfficientNetLite0Perceptual, RandomConvPerceptual
from trompe.networks.projected_discriminator import ProjectedDiscriminator, RandomProjection


def discriminator(**changes: object) -> ProjectedDiscriminator:
    torch.manual_seed(0)
    network = RandomConvPerceptual((), ("conv3", "conv4", "conv5"), width=4)
    return ProjectedDiscriminator(64, network, **{"width": 4, **changes})  # type: ignore[arg-type]


def test_every_scale_has_its_logits() -> None:
    judge = discriminator()
    # Sides 16, 8 and 4, each judged at 4 x 4 places.
    assert judge(torch.zeros(2, 3, 64, 64)).shape == (2, 3 * 16)
    assert judge(torch.zeros(2, 1, 64, 64)).shape == (2, 3 * 16)
    wide = discriminator(side=128)
    assert wide(torch.zeros(2, 3, 64, 64)).shape == (2, 3 * 16)
    assert len(wide.heads[0].layers) == 3 * 3  # convolution, normalization, leaky ReLU
    odd = discriminator(side=72)  # 18 to 9 to 4 pixels; 9 to 4; 5 to 2
    assert [len(head.layers) for head in odd.heads] == [3 * 2, 3 * 1, 3 * 1]
    assert len(discriminator(side=128, norm=None).heads[0].layers) == 2 * 3


def test_the_network_and_its_projections_stay_as_they_are() -> None:
    judge, again = discriminator(), discriminator()
    names = [*judge.state_dict()]
    assert names and all(name.startswith("heads.") for name in names)
    for mine, other in zip(judge.buffers(), again.buffers(), strict=True):
        assert torch.equal(mine, other)
    other = discriminator(seed=1)
    assert not torch.equal(judge.projection.channels_0, other.projection.channels_0)
    images = torch.randn(2, 3, 64, 64, requires_grad=True)
    judge(images).sum().backward()
    assert images.grad is not None and images.grad.abs().sum() > 0
    assert all(parameter.grad is not None for parameter in judge.parameters())
    assert all(p.grad is None for p in judge.sight.network.parameters())


def test_scales_are_mixed_from_coarse_to_fine() -> None:
    fine, coarse = torch.randn(2, 3, 8, 8), torch.randn(2, 5, 4, 4)
    plain = RandomProjection([3, 5], [4, 8], mix_scales=False, seed=0)
    first, second = plain([fine, coarse])
    torch.testing.assert_close(first, conv2d(fine, plain.channels_0))
    mixing = RandomProjection([3, 5], [4, 8], mix_scales=True, seed=0)
    mixed, same = mixing([fine, coarse])
    torch.testing.assert_close(same, second)
    enlarged = interpolate(second, (8, 8), mode="bilinear")
    torch.testing.assert_close(mixed, first + conv2d(enlarged, mixing.scales_0, padding=1))
    changed = mixing([fine, coarse + 1])
    assert not torch.allclose(changed[0], mixed)


def test_labels_are_judged_too() -> None:
    judge = discriminator(classes=3)
    images, labels = torch.randn(2, 3, 64, 64), torch.tensor([0, 1])
    assert not torch.allclose(judge(images, labels), judge(images, labels + 1))


def test_too_few_pixels_are_refused() -> None:
    with pytest.raises(UserError, match=r"discriminator.side=8 must be at least 16 pixels"):
        discriminator(side=8)


class Pupil(nn.Module):
    def __init__(self, judge: nn.Module) -> None:
        super().__init__()
        self.discriminator = judge


def protocols_of(features: FeatureNetwork, method: nn.Module) -> Mapping[str, Mapping[str, object]]:
    metric = FeatureComparison(features, measures=["fd"], n_images=4, n_reference=4, split="train")
    metric.meet(method)
    return metric.protocols()


def test_a_value_on_the_teachers_features_has_a_card_of_its_own() -> None:
    network = EfficientNetLite0Perceptual((), ("b2",))
    pupil = Pupil(ProjectedDiscriminator(64, network, width=4))
    other = Pupil(nn.Identity())
    assert teachers_of(pupil) == ["efflite0"] and teachers_of(other) == []
    for features, is_shared in (
        (EfficientNetLite0(), True),
        (EfficientNetLite0("head"), True),
        (EfficientNetLite2(), False),
    ):
        (card,) = protocols_of(features, pupil).values()
        assert ("learned_from" in card) == is_shared
        (plain,) = protocols_of(features, other).values()
        assert "learned_from" not in plain
        assert (card == plain) == (not is_shared)


def test_lite2_is_another_network() -> None:
    features = EfficientNetLite2()
    assert (features.name, features.dim) == ("efflite2", 120)
    images = torch.randint(256, (3, 3, 40, 40), dtype=torch.uint8)
    made = features(images)
    assert made.shape == (3, 120) and bool(made.isfinite().all())
    assert EfficientNetLite2("head")(images).shape == (3, 1280)
