"""Palettes, color transfer in closed form, and the style network that begins with it."""

import pytest
import torch
from torch.nn.functional import interpolate

from trompe.losses.transport import Gaussian, gaussian_of, pack, packed_size
from trompe.networks.palette import PALETTE_DIM, color_map, palette_of, recolor
from trompe.networks.palette_transformer import PaletteTransformer
from trompe.networks.perceptual_network import EfficientNetLite0Perceptual, RandomConvPerceptual
from trompe.networks.sight import Sight
from trompe.networks.strokes import pooled, shrunk


def picture(seed: int, side: int = 32) -> torch.Tensor:
    """Colors that depend on each other, around a mean of their own."""
    generator = torch.Generator().manual_seed(seed)
    mix = 0.2 * torch.randn(3, 3, generator=generator)
    mean = 0.4 * torch.rand(3, 1, 1, generator=generator)
    noise = torch.randn(3, side, side, generator=generator)
    return (torch.einsum("ij,jhw->ihw", mix, noise) + mean)[None]


def test_a_palette_is_mean_and_covariance() -> None:
    images = torch.cat([picture(1), picture(2)])
    found = palette_of(images)
    assert found.shape == (2, PALETTE_DIM)
    for image, row in zip(images, found, strict=True):
        wanted = torch.cov(image.flatten(1), correction=0)
        assert torch.allclose(row[:3], image.mean((1, 2)), atol=1e-6)
        assert torch.allclose(row[3:], wanted[[0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]], atol=1e-5)


def test_a_picture_takes_on_the_palette_of_another() -> None:
    content, style = picture(1), picture(2)
    made = recolor(content, *color_map(palette_of(content), palette_of(style)))
    # Up to what is added to the variances.
    assert torch.allclose(palette_of(made), palette_of(style), atol=8e-3)


def test_the_map_is_that_of_least_change() -> None:
    """Optimal transport between Gaussians is a symmetric positive definite matrix, and unique."""
    matrix, _ = color_map(palette_of(picture(1)), palette_of(picture(2)))
    assert torch.allclose(matrix, matrix.mT, atol=1e-4)
    assert (torch.linalg.eigvalsh(matrix) > 0).all()


def test_its_own_palette_changes_nothing() -> None:
    own = palette_of(picture(3))
    matrix, shift = color_map(own, own)
    assert torch.allclose(matrix, torch.eye(3), atol=1e-3)
    assert shift.abs().max() < 1e-3


def test_one_color_becomes_another_and_is_not_blown_up() -> None:
    gray = torch.full((1, 3, 8, 8), 0.25) + torch.linspace(0, 1e-4, 8)
    made = recolor(gray, *color_map(palette_of(gray), palette_of(picture(2))))
    assert torch.allclose(made.mean((2, 3)), picture(2).mean((2, 3)), atol=1e-3)
    assert made.std((2, 3)).max() < 0.01


def test_a_mix_of_palettes_is_one() -> None:
    content = picture(1)
    half = (palette_of(picture(2)) + palette_of(picture(3))) / 2
    made = recolor(content, *color_map(palette_of(content), half))
    assert torch.allclose(palette_of(made)[:, :3], half[:, :3], atol=1e-3)


@pytest.fixture
def network() -> PaletteTransformer:
    torch.manual_seed(0)
    encoder = RandomConvPerceptual([], ["conv1", "conv3"], width=4)
    return PaletteTransformer(20 + PALETTE_DIM, encoder, width=8, wide=16, blocks=1, bottleneck=6)


def described(style: torch.Tensor) -> torch.Tensor:
    code = torch.randn(len(style), 20, generator=torch.Generator().manual_seed(0))
    sight = Sight(RandomConvPerceptual([], ["conv1", "conv3"], width=4))
    seen = [pack(gaussian_of(maps)) for maps in sight(style)]
    return torch.cat([code, palette_of(style), *seen], 1)


@pytest.mark.parametrize("size", [(16, 16), (20, 36), (64, 48)])
def test_it_begins_with_the_content_in_the_colors_of_the_style(
    network: PaletteTransformer, size: tuple[int, int]
) -> None:
    content, style = picture(1, 64)[..., : size[0], : size[1]].clamp(-1, 1), picture(2)
    made = network(content, network.predict(described(style)))
    recolored = recolor(content, *color_map(palette_of(content), palette_of(style)))
    assert made.shape == content.shape and made.dtype == torch.float32
    assert made.abs().max() <= 1
    assert (made - recolored.clamp(-0.95, 0.95)).abs().mean() < 0.1
    assert (made - content).abs().mean() > 0.15
    assert (recolored - content).abs().mean() > 0.15


def test_pictures_of_a_batch_do_not_depend_on_each_other(network: PaletteTransformer) -> None:
    contents = torch.cat([picture(1), picture(4)]).clamp(-1, 1)
    parameters = network.predict(described(torch.cat([picture(2), picture(3)])))
    both = network(contents, parameters)
    for row in range(2):
        alone = network(contents[row : row + 1], parameters[row : row + 1])
        assert torch.allclose(both[row : row + 1], alone, atol=1e-5)


def test_all_of_it_learns(network: PaletteTransformer) -> None:
    made = network(picture(1).clamp(-1, 1), network.predict(described(picture(2))))
    made.square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_measured_statistics_stand_for_those_of_the_picture(network: PaletteTransformer) -> None:
    content, style = picture(1, 64).clamp(-1, 1), picture(2)
    parameters = network.predict(described(style))
    plain = network(content, parameters)
    own = network.measure(content, parameters)
    assert torch.allclose(network(content, parameters, own), plain, atol=1e-4)
    other = network.measure(picture(4, 64).clamp(-1, 1), parameters)
    assert (network(content, parameters, other) - plain).abs().mean() > 0.01
    # Of two that are the same they are those of one; of two others they lie between.
    both = pooled([own, own])
    for ours, theirs in zip(both.gaussians, own.gaussians, strict=True):
        assert torch.allclose(ours.covariance, theirs.covariance, atol=1e-6)
    for one, two in zip(both.moments, own.moments, strict=True):
        assert torch.allclose(one.variance, two.variance, rtol=1e-3, atol=1e-4)
    mixed = pooled([own, other])
    second = picture(4, 64).clamp(-1, 1)
    together = palette_of(torch.cat([content, second], 3))
    assert torch.allclose(pack(mixed.gaussians[0]), together, atol=1e-5)
    assert torch.allclose(mixed.moments[0].mean, (own.moments[0].mean + other.moments[0].mean) / 2)
    spread = (own.moments[0].mean - other.moments[0].mean).square() / 4
    between = (own.moments[0].variance + other.moments[0].variance) / 2 + spread
    assert torch.allclose(mixed.moments[0].variance, between, rtol=1e-3, atol=1e-4)


def test_strokes_depend_on_features_in_the_style_and_on_fixed_ones(
    network: PaletteTransformer,
) -> None:
    content, style = picture(1, 64).clamp(-1, 1), described(picture(2))
    parameters = network.predict(style)
    plain, own = network(content, parameters), network.measure(content, parameters)
    # The style's features alone: the palette and what is predicted stay.
    others = parameters.clone()
    end = PALETTE_DIM + sum(map(packed_size, network.sight.channels))
    others[:, PALETTE_DIM:end] = network.predict(described(picture(3)))[:, PALETTE_DIM:end]
    assert (network(content, others) - plain).abs().mean() > 0.005
    # The content's own, where they are given.
    features = [Gaussian(g.mean + 1, g.covariance) for g in own.gaussians[1:]]
    fixed = own._replace(gaussians=[own.gaussians[0], *features])
    assert (network(content, parameters, fixed) - plain).abs().mean() > 0.005


@pytest.mark.parametrize("order", [["conv1", "conv3"], ["conv3", "conv1"], ["conv1"] * 2])
def test_content_layers_are_in_the_order_of_computation(order: list[str]) -> None:
    encoder = RandomConvPerceptual([], order, width=4)
    assert encoder.content_layers == tuple(dict.fromkeys(sorted(order)))
    assert len(Sight(encoder)(picture(1).clamp(-1, 1))) == len({*order})


@pytest.mark.parametrize("layers", [["b0", "b2", "b4"], ["b2", "b8e"]])
@pytest.mark.parametrize("size", [(16, 16), (20, 36), (64, 48)])
def test_features_lie_where_the_picture_has_them(layers: list[str], size: tuple[int, int]) -> None:
    sight = Sight(EfficientNetLite0Perceptual([], layers))
    for maps, stride in zip(sight(torch.zeros(1, 3, *size)), sight.strides, strict=True):
        assert maps.shape[2:] == tuple(-(-side // stride) for side in size)


def test_strokes_of_a_small_picture_are_painted_on_a_large_one(network: PaletteTransformer) -> None:
    style = picture(2)
    small = picture(1, 16).clamp(-1, 1)
    large = interpolate(small, (320, 256), mode="nearest")
    parameters = network.predict(described(style))
    made = network.render_enlarged(large, parameters, 64)
    assert made.shape == large.shape and made.dtype == torch.float32
    # Made small, it is what the small one becomes, but for the pixels' shape.
    plain = network(shrunk(large, 64), parameters)
    again = interpolate(made, plain.shape[2:], mode="bilinear", antialias=True)
    assert (again - plain).abs().mean() < 0.05
    # Its sharp edges are there: it is not an enlarged small picture.
    blurred = interpolate(plain, large.shape[2:], mode="bicubic")
    sharp = large.diff(dim=3).abs() > large.diff(dim=3).abs().quantile(0.95)
    assert made.diff(dim=3).abs()[sharp].mean() > blurred.diff(dim=3).abs()[sharp].mean()


def test_a_flat_content_has_grain_and_always_the_same(network: PaletteTransformer) -> None:
    flat = torch.full((1, 3, 40, 300), 0.2)
    parameters = network.predict(described(picture(2)))
    made = network(flat, parameters)
    assert made[..., 8:-8, 8:-8].std(dim=(2, 3)).min() > 1e-3
    assert torch.equal(network(flat, parameters), made)
    # It does not repeat, and does not depend on the size.
    grain = network.grained(flat)
    for period in (241, 256):
        shifted, whole = grain[..., period:], grain[..., : grain.shape[3] - period]
        assert abs(float((shifted * whole).mean() / (grain**2).mean())) < 0.1
    assert torch.equal(network.grained(flat[..., :20, :30]), grain[..., :20, :30])
    assert "grain" not in network.state_dict()


def test_a_panorama_is_shrunk_by_its_pixels() -> None:
    made = shrunk(torch.zeros(1, 3, 200, 4000), 100)
    assert made.shape[2] * made.shape[3] == pytest.approx(2 * 100**2, rel=0.05)
    assert made.shape[3] / made.shape[2] == pytest.approx(20, rel=0.05)
    assert shrunk(torch.zeros(1, 3, 400, 600), 100).shape[2:] == (96, 152)
    assert shrunk(torch.zeros(1, 3, 16, 900), 1).shape[2:] == (16, 16)
