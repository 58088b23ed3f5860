"""Optimal transport between the Gaussians of feature maps, in closed form."""

import pytest
import torch

from trompe.losses.perceptual import transported_loss
from trompe.losses.transport import (
    Gaussian,
    gaussian_of,
    in_style,
    moved,
    pack,
    packed_size,
    pooled,
    transport,
    unpack,
)


def maps(seed: int, channels: int = 24, images: int = 2) -> torch.Tensor:
    """Channels that depend on each other, of very different sizes."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(channels, channels, generator=generator) * torch.logspace(0.5, -2, channels)
    noise = torch.randn(images, channels, 16, 20, generator=generator)
    return torch.einsum("ij,njhw->nihw", mix, noise) + torch.randn(
        channels, 1, 1, generator=generator
    )


def test_the_map_is_the_optimal_transport() -> None:
    """Against its textbook form, with roots by eigenvalues."""
    own, wanted = gaussian_of(maps(1)), gaussian_of(maps(2))
    matrix, shift = transport(own, wanted, 0.03)

    def power(matrices: torch.Tensor, exponent: float) -> torch.Tensor:
        values, vectors = torch.linalg.eigh(matrices)
        return (vectors * values[:, None, :] ** exponent) @ vectors.mT

    ridge = 0.03 * torch.eye(24, dtype=torch.float64)
    first, second = (g.covariance.double() + ridge for g in (own, wanted))
    root, inverse = power(first, 0.5), power(first, -0.5)
    textbook = inverse @ power(root @ second @ root, 0.5) @ inverse
    torch.testing.assert_close(matrix.double(), textbook, atol=1e-4, rtol=1e-4)
    made = gaussian_of(moved(maps(1), matrix, shift))
    torch.testing.assert_close(made.mean, wanted.mean, atol=1e-3, rtol=1e-3)


def test_features_take_on_the_moments_of_a_style_and_keep_the_order() -> None:
    content, style = maps(1), maps(2)
    made = in_style(content, gaussian_of(content), gaussian_of(style))
    wanted = gaussian_of(style).covariance
    apart = (gaussian_of(made).covariance - wanted).flatten(1).norm(dim=1)
    before = (gaussian_of(content).covariance - wanted).flatten(1).norm(dim=1)
    assert (apart < 0.05 * before).all()
    # A symmetric positive definite map: no direction is turned around.
    centered = [x.flatten(2) - x.flatten(2).mean(2, keepdim=True) for x in (content, made)]
    assert ((centered[0] * centered[1]).sum(1) > -1e-3).all()


def test_variances_may_differ_by_much() -> None:
    """Square roots of eigenvalues that differ by a factor of 1e4, as the iteration promises."""
    values = torch.tensor([1e2, 1.0, 1e-2])
    own = Gaussian(torch.zeros(1, 3), torch.diag(values)[None])
    matrix, _ = transport(own, own, 0.0)  # of S S^-1, whose roots are the values
    torch.testing.assert_close(matrix, torch.eye(3)[None], rtol=1e-3, atol=1e-3)


def test_what_is_flat_is_not_blown_up() -> None:
    flat = torch.full((1, 24, 8, 8), 0.5) + 1e-3 * maps(3, images=1)[..., :8, :8]
    made = in_style(flat, gaussian_of(flat), gaussian_of(maps(2, images=1)))
    assert made.std((2, 3)).mean() < 0.1 * maps(2, images=1).std((2, 3)).mean()


def test_packed_and_pooled() -> None:
    one, two = maps(1), maps(2)
    row = pack(gaussian_of(one))
    assert row.shape == (2, packed_size(24))
    again = unpack(row, 24)
    assert torch.equal(again.mean, gaussian_of(one).mean)
    torch.testing.assert_close(again.covariance, gaussian_of(one).covariance, atol=1e-5, rtol=1e-5)
    assert torch.equal(again.covariance, again.covariance.mT)
    both = pooled([gaussian_of(one), gaussian_of(two)])
    together = gaussian_of(torch.cat([one, two], 3))
    torch.testing.assert_close(both.covariance, together.covariance, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(both.mean, together.mean, atol=1e-5, rtol=1e-5)


def test_the_loss_is_zero_at_the_content_in_the_style() -> None:
    content, style = maps(1), gaussian_of(maps(2))
    wanted = in_style(content, gaussian_of(content), style)
    assert transported_loss(wanted, content, style) < 1e-8
    assert transported_loss(content, content, style) > 0.1
    # Nothing of the content's own statistics is asked for: its contrast does not matter.
    louder = transported_loss(wanted, 2 * content, style)
    assert louder < 0.05 * transported_loss(content, content, style)
    features, source = content.clone().requires_grad_(), content.clone().requires_grad_()
    transported_loss(features, source, style).backward()
    assert features.grad is not None and features.grad.abs().sum() > 0
    assert source.grad is None
    with pytest.raises(ValueError, match="do not agree"):
        transported_loss(content[..., :8, :], content, style)
    with pytest.raises(ValueError, match="do not agree"):
        transported_loss(content[:, :8], content, style)
