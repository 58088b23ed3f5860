"""Perceptual losses against loops over their papers' formulas, written out."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import pixel_unshuffle

from trompe.losses import perceptual as losses
from trompe.losses.perceptual import ChannelStatistics

Array = np.ndarray
Loss = Callable[[Tensor, Tensor], Tensor]


def maps(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# The papers' formulas, element by element, for one image (C, H, W)


def gram(features: Array) -> Array:
    channels, height, width = features.shape
    result = np.zeros((channels, channels))
    for i in range(channels):
        for j in range(channels):
            for y in range(height):
                for x in range(width):
                    result[i, j] += features[i, y, x] * features[j, y, x] / (height * width)
    return result


def gram_reference(x: Array, y: Array) -> float:
    return ((gram(x) - gram(y)) ** 2).sum() / (4 * len(x) ** 2)


def relative_gram_reference(x: Array, y: Array) -> float:
    return ((gram(x) - gram(y)) ** 2).sum() / (gram(y) ** 2).sum()


def moments_reference(x: Array, y: Array) -> float:
    (m, c), (n, d) = ((a.mean((1, 2)), np.cov(a.reshape(len(a), -1), bias=True)) for a in (x, y))
    return sum(
        float(((a - b) ** 2).sum() / (((a**2).sum() + (b**2).sum()) / 2))
        for a, b in ((m, n), (c, d))
    )


def statistics_reference(x: Array, y: Array) -> float:
    total = 0.0
    for a, b in zip(x, y, strict=True):
        deviations = [np.sqrt(((c - c.mean()) ** 2).mean() + 1e-5) for c in (a, b)]
        total += (a.mean() - b.mean()) ** 2 + (deviations[0] - deviations[1]) ** 2
    return total / len(x)


def content_reference(x: Array, y: Array) -> float:
    return ((x - y) ** 2).sum() / x.size


def cosines(features: Array) -> Array:
    points = features.reshape(len(features), -1).T
    return np.array(
        [[a @ b / np.sqrt((a @ a) * (b @ b)) for b in points] for a in points], dtype=float
    )


def self_similarity_reference(x: Array, y: Array) -> float:
    first, second = 1 - cosines(x), 1 - cosines(y)
    n = len(first)
    total = 0.0
    for j in range(n):
        for i in range(n):
            total += abs(first[i, j] / first[:, j].sum() - second[i, j] / second[:, j].sum())
    return total / n**2 * n


STYLE: dict[str, tuple[Loss, Callable[[Array, Array], float]]] = {
    "gram": (losses.gram_loss, gram_reference),
    "relative_gram": (losses.relative_gram_loss, relative_gram_reference),
    "moments": (losses.moments_loss, moments_reference),
    "statistics": (losses.statistics_loss, statistics_reference),
}
CONTENT: dict[str, tuple[Loss, Callable[[Array, Array], float]]] = {
    "content": (losses.content_loss, content_reference),
    "self_similarity": (losses.self_similarity_loss, self_similarity_reference),
}
ALL = {**STYLE, **CONTENT}


@pytest.mark.parametrize("name", ALL)
def test_losses_equal_their_formulas_averaged_over_the_batch(name: str) -> None:
    loss, reference = ALL[name]
    style_side = (6, 3) if name in STYLE else (4, 5)
    x, y = maps(0, 2, 3, 4, 5), maps(1, 2, 3, *style_side) * 2 + 1
    value = loss(x, y)
    each = [reference(a, b) for a, b in zip(x.double().numpy(), y.double().numpy(), strict=True)]
    assert value.shape == ()
    assert float(value) == pytest.approx(np.mean(each), rel=1e-4)
    # one target for all
    shared = [reference(a, y[0].double().numpy()) for a in x.double().numpy()]
    assert float(loss(x, y[:1])) == pytest.approx(np.mean(shared), rel=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_losses_are_zero_at_the_target_and_descend_to_it(name: str) -> None:
    loss, _ = ALL[name]
    target = maps(2, 2, 3, 4, 5)
    assert float(loss(target, target.clone())) == 0
    x = (target + 0.5 * maps(3, 2, 3, 4, 5)).requires_grad_()
    value = loss(x, target)
    (gradient,) = torch.autograd.grad(value, x)
    assert gradient.isfinite().all()
    assert (gradient.flatten(1).norm(dim=1) > 0).all()
    assert loss(x - 0.01 * gradient / gradient.norm(), target) < value


@pytest.mark.parametrize("name", ALL)
def test_losses_are_computed_in_float32_under_autocast(name: str) -> None:
    loss, _ = ALL[name]
    x, y = maps(4, 2, 3, 8, 8).bfloat16(), maps(5, 2, 3, 8, 8).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(x, y)
    assert value.dtype == torch.float32
    assert torch.equal(value, loss(x.float(), y.float()))


@pytest.mark.parametrize("name", ALL)
def test_losses_refuse_shapes_that_do_not_agree(name: str) -> None:
    loss, _ = ALL[name]
    x = maps(0, 4, 3, 4, 4)
    wrong = maps(0, 4, 2, 4, 4) if name != "self_similarity" else maps(0, 4, 3, 4, 5)
    for target in (wrong, x[:2], x[0]):
        with pytest.raises(ValueError):
            loss(x, target)


@pytest.mark.parametrize("name", STYLE)
def test_style_does_not_know_where_things_are(name: str) -> None:
    loss, _ = STYLE[name]
    x = maps(6, 1, 3, 4, 6)
    shuffled = x.flatten(2)[..., torch.randperm(24, generator=torch.Generator().manual_seed(0))]
    assert float(loss(shuffled.view(1, 3, 6, 4), x)) < 1e-10
    assert float(losses.content_loss(shuffled.view(1, 3, 4, 6), x)) > 0.1


def test_relative_gram_distance_does_not_know_the_scale_of_a_layer() -> None:
    x, y = maps(7, 2, 3, 4, 4), maps(8, 2, 3, 4, 4)
    value = losses.relative_gram_loss(x, y)
    assert float(losses.relative_gram_loss(7 * x, 7 * y)) == pytest.approx(float(value), rel=1e-4)
    assert float(losses.relative_gram_loss(0 * x, y)) == pytest.approx(1)
    assert losses.relative_gram_loss(0 * x, 0 * y) == 0


def test_gram_matrix_is_normalized_by_the_positions_in_any_memory_format() -> None:
    x = maps(9, 2, 3, 4, 5)
    assert losses.gram_matrix(x).shape == (2, 3, 3)
    expected = np.stack([gram(image) for image in x.double().numpy()])
    for layout in (x, x.to(memory_format=torch.channels_last)):
        np.testing.assert_allclose(losses.gram_matrix(layout).numpy(), expected, rtol=1e-4)
    tiled = x.repeat(1, 1, 2, 3)
    torch.testing.assert_close(losses.gram_matrix(tiled), losses.gram_matrix(x))


# AdaIN


def test_adain_with_its_own_statistics_changes_nothing() -> None:
    x = maps(10, 2, 3, 8, 8) * 3 + 5
    torch.testing.assert_close(
        losses.adaptive_instance_normalization(x, *losses.channel_statistics(x)), x
    )


def test_adain_gives_the_statistics_asked_for_and_keeps_the_type() -> None:
    x = maps(11, 2, 3, 8, 8)
    mean, std = maps(12, 2, 3), maps(13, 2, 3).abs() + 0.1
    result = losses.adaptive_instance_normalization(x, mean, std)
    np.testing.assert_allclose(result.numpy().mean((2, 3)), mean.numpy(), atol=1e-5)
    np.testing.assert_allclose(result.numpy().std((2, 3)), std.numpy(), rtol=1e-3)
    assert losses.adaptive_instance_normalization(x.bfloat16(), mean, std).dtype == torch.bfloat16
    for wrong in (mean[:, :2], maps(0, 3, 3)):
        with pytest.raises(ValueError):
            losses.adaptive_instance_normalization(x, wrong, std)
        with pytest.raises(ValueError):
            losses.adaptive_instance_normalization(x, mean, wrong)


def test_statistics_have_a_gradient_where_nothing_varies() -> None:
    x = torch.ones(1, 2, 4, 4, requires_grad=True)
    losses.statistics_distance(
        losses.channel_statistics(x), ChannelStatistics(torch.zeros(1, 2), torch.ones(1, 2))
    ).backward()
    assert x.grad is not None and x.grad.isfinite().all() and x.grad.abs().sum() > 0


# Self-similarity


def test_self_similarity_is_the_cosine_of_positions_whatever_their_scale() -> None:
    x = maps(14, 1, 5, 3, 4)
    similarity = losses.self_similarity(x)
    assert similarity.shape == (1, 12, 12)
    np.testing.assert_allclose(similarity[0].numpy(), cosines(x[0].double().numpy()), atol=1e-5)
    scale = maps(15, 1, 1, 3, 4).exp()
    torch.testing.assert_close(losses.self_similarity(1000 * scale * x), similarity)
    assert losses.self_similarity(pixel_unshuffle(maps(16, 1, 5, 4, 6), 2)).shape == (1, 6, 6)


def test_self_similarity_compares_networks_with_other_channels() -> None:
    x = maps(17, 1, 4, 3, 3)
    turned = torch.linalg.qr(maps(18, 9, 4)).Q @ x.flatten(2)
    assert float(losses.self_similarity_loss(turned.view(1, 9, 3, 3), x)) < 1e-4


def test_self_similarity_bears_positions_without_activation_and_constant_pictures() -> None:
    x = maps(19, 1, 4, 3, 3)
    x[..., 0, 0] = 0
    x.requires_grad_()
    losses.self_similarity_loss(x, maps(20, 1, 4, 3, 3)).backward()
    assert x.grad is not None and x.grad.isfinite().all() and x.grad.abs().max() < 100
    assert losses.self_similarity(x.detach())[0, 0].abs().max() == 0
    # the same vector everywhere but for its length: all cosines are 1 but for rounding
    constant = [maps(21, 1, 7, 1, 1) * maps(seed, 1, 1, 3, 3).exp() for seed in (22, 23)]
    assert float(losses.self_similarity_loss(*constant)) < 0.01


# Total variation


def test_total_variation_counts_neighbors() -> None:
    x = maps(22, 2, 3, 4, 5)
    pixels = x.double().numpy()
    down = [abs(pixels[..., i + 1, j] - pixels[..., i, j]) for i in range(3) for j in range(5)]
    right = [abs(pixels[..., i, j + 1] - pixels[..., i, j]) for i in range(4) for j in range(4)]
    assert float(losses.total_variation(x)) == pytest.approx(np.mean(down) + np.mean(right))
    assert losses.total_variation(torch.full((1, 3, 4, 4), 0.3)) == 0
    with pytest.raises(ValueError, match="2 x 2"):
        losses.total_variation(x[..., :1])
