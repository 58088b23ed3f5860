"""Perceptual losses: what two images share in the features of a network, as pure functions.

Feature maps are (N, C, H, W), as the layers of a `PerceptualNetwork`. A loss comes in three parts:
what is taken from features (`gram_matrix`, `channel_statistics`, `self_similarity`), which may be
kept for a target that stays; the `…_distance` of two of these; and the `…_loss` of two feature
maps, which joins them. All are differentiable, computed in float32 even under autocast, and the
distances and losses are scalars: means over the batch. A target may have batch size 1 and then
stands for all.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from trompe.losses.transport import Gaussian, gaussian_of, in_style

# Added to a variance before its root: the authors' code of Huang & Belongie 2017.
VARIANCE_EPS = 1e-5


class ChannelStatistics(NamedTuple):
    """Mean and standard deviation of each channel over the positions, both (N, C)."""

    mean: Tensor
    std: Tensor


# Style: Gram matrices


def gram_matrix(features: Tensor) -> Tensor:
    """Inner products of the channels, averaged over the H W positions: (N, C, H, W) -> (N, C, C).

    Gatys et al. 2016, eq. 3, whose G is the sum over positions: theirs is H W times this one.

    Raises:
        ValueError: if `features` are not (N, C, H, W).
    """
    flat = _maps(features).flatten(2)
    with torch.autocast(features.device.type, enabled=False):
        return flat @ flat.mT / flat.shape[2]


def gram_distance(gram: Tensor, target: Tensor) -> Tensor:
    """Of Gram matrices (N, C, C): sum (G - A)^2 / (4 C^2) (Gatys et al. 2016, eq. 4).

    Raises:
        ValueError: if the shapes do not agree.
    """
    return _difference(gram, target).square().mean() / 4


def gram_loss(features: Tensor, style: Tensor) -> Tensor:
    """`gram_distance` of feature maps, whose H and W may differ (Gatys et al. 2016, eq. 4).

    Raises:
        ValueError: if the numbers of channels or images do not agree.
    """
    return gram_distance(gram_matrix(features), gram_matrix(style))


def relative_gram_distance(gram: Tensor, target: Tensor) -> Tensor:
    """Of Gram matrices (N, C, C): ||G - A||^2 / ||A||^2, Frobenius, so that layers weigh alike.

    Ours: Gatys et al. 2016, eq. 4, with the energy of the target for its constant; 1 for G = 0.

    Raises:
        ValueError: if the shapes do not agree.
    """
    energy = target.float().square().sum((1, 2)).clamp_min(torch.finfo(torch.float32).tiny)
    return (_difference(gram, target).square().sum((1, 2)) / energy).mean()


def relative_gram_loss(features: Tensor, style: Tensor) -> Tensor:
    """`relative_gram_distance` of feature maps, whose H and W may differ.

    Raises:
        ValueError: if the numbers of channels or images do not agree.
    """
    return relative_gram_distance(gram_matrix(features), gram_matrix(style))


# Style: means and covariances


def moments_distance(moments: Gaussian, target: Gaussian) -> Tensor:
    """||C - C'||^2 / e(||C||^2, ||C'||^2) + the same of the means; e the mean of both, Frobenius.

    Ours, for covariances C and means m of the channels. A Gram matrix is C + m m^T, and where
    ReLUs make the means large, they are nearly all of it: then its loss hardly sees how channels
    vary together, which is what a stroke is. Each term is at most 2, or a flat style would outweigh
    all others (Cheng et al. 2021, https://arxiv.org/abs/2104.10064, sec. 4). No gradient goes
    through what it is divided by.

    Raises:
        ValueError: if the shapes do not agree.
    """
    terms = []
    for own, wanted in zip(moments, target, strict=True):
        apart = _difference(own, wanted).flatten(1).square().sum(1)
        with torch.no_grad():
            sizes = [x.flatten(1).square().sum(1) for x in (own, wanted)]
            scale = (sizes[0] + sizes[1]) / 2
        terms.append(apart / scale.clamp_min(torch.finfo(torch.float32).tiny))
    return torch.stack(terms).sum(0).mean()


def channel_moments(gram: Tensor, mean: Tensor) -> Gaussian:
    """Means and covariances of channels, from their Gram matrices (N, C, C) and means (N, C)."""
    mean = mean.float()
    return Gaussian(mean, gram.float() - mean[:, :, None] * mean[:, None, :])


def moments_loss(features: Tensor, style: Tensor) -> Tensor:
    """`moments_distance` of feature maps, whose H and W may differ.

    Raises:
        ValueError: if the numbers of channels or images do not agree.
    """
    first, second = (
        channel_moments(gram_matrix(maps), maps.float().mean((2, 3))) for maps in (features, style)
    )
    return moments_distance(first, second)


# Style: channel statistics


def channel_statistics(features: Tensor) -> ChannelStatistics:
    """(N, C, H, W) -> mean and standard deviation (N, C) (Huang & Belongie 2017, eq. 5 and 6).

    The standard deviation is sqrt(variance + 1e-5), the variance that of all H W positions.

    Raises:
        ValueError: if `features` are not (N, C, H, W).
    """
    variance, mean = torch.var_mean(_maps(features), (2, 3), correction=0)
    return ChannelStatistics(mean, (variance + VARIANCE_EPS).sqrt())


def statistics_distance(statistics: ChannelStatistics, target: ChannelStatistics) -> Tensor:
    """Squared distance of the means plus that of the standard deviations, each a mean over C.

    Huang & Belongie 2017, eq. 13, with squares instead of norms, as in the authors' code.

    Raises:
        ValueError: if the shapes do not agree.
    """
    mean = _difference(statistics.mean, target.mean).square().mean()
    return mean + _difference(statistics.std, target.std).square().mean()


def statistics_loss(features: Tensor, style: Tensor) -> Tensor:
    """`statistics_distance` of feature maps, whose H and W may differ.

    Raises:
        ValueError: if the numbers of channels or images do not agree.
    """
    return statistics_distance(channel_statistics(features), channel_statistics(style))


def adaptive_instance_normalization(content: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """AdaIN: `content` (N, C, H, W) with the mean and standard deviation (N, C) of a style.

    Huang & Belongie 2017, eq. 8. The result has the type of `content`.

    Raises:
        ValueError: if `mean` or `std` is not (N, C) or (1, C).
    """
    own = channel_statistics(content)
    _check_shapes(own.mean, mean)
    _check_shapes(own.mean, std)
    scale = std.float() / own.std
    shift = mean.float() - scale * own.mean
    return (content.float() * scale[..., None, None] + shift[..., None, None]).to(content.dtype)


# Content


def content_loss(features: Tensor, content: Tensor) -> Tensor:
    """Mean squared difference of feature maps (Johnson et al. 2016, eq. 2).

    Raises:
        ValueError: if the shapes do not agree.
    """
    return _difference(_maps(features), _maps(content)).square().mean()


def transported_loss(features: Tensor, content: Tensor, style: Gaussian) -> Tensor:
    """`content_loss` with the content's features in the style; no gradient goes through these.

    Ours: so that what is content and what is style do not contradict each other.

    Raises:
        ValueError: if the shapes do not agree.
    """
    _check_shapes(features, content)
    with torch.no_grad():
        wanted = in_style(content, gaussian_of(content), style)
    return content_loss(features, wanted)


def self_similarity(features: Tensor) -> Tensor:
    """Cosine similarity of every position with every other: (N, C, H, W) -> (N, H W, H W).

    What remains of an image's structure when its colors and textures change (Kolkin et al. 2019,
    sec. 2.3). Positions without any activation have similarity 0. The memory grows with
    (H W)^2: pool larger maps first; for k x k patches, `pixel_unshuffle(features, k)`.

    Raises:
        ValueError: if `features` are not (N, C, H, W).
    """
    vectors = _maps(features).flatten(2)
    length = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    # A position without activation would give a gradient that is not finite.
    vectors = vectors / length.where(length > 0, 1)
    with torch.autocast(features.device.type, enabled=False):
        similarity: Tensor = vectors.mT @ vectors
    return similarity


def self_similarity_distance(similarity: Tensor, target: Tensor) -> Tensor:
    """Of cosine similarities (N, P, P): sum_ij |D_ij / sum_i D_ij - D'_ij / sum_i D'_ij| / P.

    D = 1 - similarity. This is eq. 7 of Kolkin et al. 2019 times the number of positions P, so that
    it does not depend on P: between 0 and 2.

    Raises:
        ValueError: if the shapes do not agree.
    """
    _check_shapes(similarity, target)
    difference = _relative_distances(similarity) - _relative_distances(target)
    return difference.abs().sum(1).mean()


def self_similarity_loss(features: Tensor, content: Tensor) -> Tensor:
    """`self_similarity_distance` of feature maps; the numbers of channels may differ.

    Raises:
        ValueError: if the numbers of positions or images do not agree.
    """
    return self_similarity_distance(self_similarity(features), self_similarity(content))


# Smoothness


def total_variation(images: Tensor) -> Tensor:
    """Mean |difference| of vertical plus of horizontal neighbors, of (N, C, H, W).

    Anisotropic L1 of Rudin et al. 1992, per pixel, so that it does not depend on the size.

    Raises:
        ValueError: if `images` are not (N, C, H, W) with at least 2 x 2 pixels.
    """
    pixels = _maps(images)
    if min(pixels.shape[2:]) < 2:
        raise ValueError(f"total variation needs 2 x 2 pixels or more, not {tuple(pixels.shape)}")
    return pixels.diff(dim=2).abs().mean() + pixels.diff(dim=3).abs().mean()


def _maps(features: Tensor) -> Tensor:
    if features.ndim != 4:
        raise ValueError(f"feature maps must be (N, C, H, W), not {tuple(features.shape)}")
    return features.float()


def _relative_distances(similarity: Tensor) -> Tensor:
    distance = 1 - similarity.float()
    # A constant image has no distances: rounding must not be blown up to relative ones.
    return distance / distance.sum(1, keepdim=True).clamp_min(1e-4 * distance.shape[1])


def _difference(value: Tensor, target: Tensor) -> Tensor:
    _check_shapes(value, target)
    return value.float() - target.float()


def _check_shapes(value: Tensor, target: Tensor) -> None:
    if value.shape[1:] != target.shape[1:] or len(target) not in (1, len(value)):
        raise ValueError(f"{tuple(value.shape)} and target {tuple(target.shape)} do not agree")
