"""StyleGAN's networks and path lengths against references written out by hand."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu, pad

from trompe.engine.randomness import Draws, drawing
from trompe.engine.share import Share
from trompe.errors import UserError
from trompe.losses.path_length import PathLength
from trompe.networks.equalized import EqualizedConv2d, EqualizedLinear
from trompe.networks.resampling import Filter
from trompe.networks.stylegan import (
    AdaINLayer,
    Mapping,
    ModulatedLayer,
    StyleGANGenerator,
    convolve,
    widths,
)
from trompe.networks.stylegan_discriminator import StyleGANDiscriminator, group_deviation

Layer = Callable[[int, int, int, Filter | None], nn.Module]


def small(**changes: object) -> StyleGANGenerator:
    torch.manual_seed(0)
    settings: dict[str, object] = {"latent_dim": 6, "style_dim": 5, "base": 64, "max_width": 8}
    generator = StyleGANGenerator(
        16,
        mapping_layers=2,
        mapping_lr_multiplier=1.0,
        **{**settings, **changes},  # type: ignore[arg-type]
    )
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith("noise_strength"):
                parameter.fill_(0.5)
    return generator


def draws_of(rank: int = 0, world_size: int = 1, size: int = 8) -> Draws:
    return Draws(3, 0, size, Share(rank, world_size))


def tapped(features: Tensor, taps: list[float]) -> Tensor:
    """A separable filter, tap by tap; the caller pads."""
    total = sum(taps)
    for dim in (2, 3):
        length = features.shape[dim] - len(taps) + 1
        parts = [features.narrow(dim, i, length) * tap for i, tap in enumerate(taps)]
        features = torch.stack(parts).sum(0) / total
    return features


def spread(features: Tensor) -> Tensor:
    """With zeros between the pixels, and one more behind them."""
    count, channels, height, width = features.shape
    result = features.new_zeros(count, channels, 2 * height, 2 * width)
    result[:, :, ::2, ::2] = features
    return result


@pytest.mark.parametrize(("taps", "around"), [([1, 3, 3, 1], (2, 1)), ([1, 2, 1], (1, 1))])
def test_filters_resample(taps: list[float], around: tuple[int, int]) -> None:
    x = torch.randn(2, 3, 6, 6)
    low_pass = Filter(taps)
    up = tapped(pad(spread(x), (*around, *around)), taps) * 4
    torch.testing.assert_close(low_pass.up(x), up)
    down = tapped(pad(x, (1, 1, 1, 1)), taps)[:, :, ::2, ::2]
    torch.testing.assert_close(low_pass.down(x), down)
    torch.testing.assert_close(low_pass.blur(x, padding=2), tapped(pad(x, (2, 2, 2, 2)), taps))
    flat = torch.ones(1, 2, 8, 8)
    assert low_pass.up(flat)[:, :, 3:-3, 3:-3].sub(1).abs().max() < 1e-6
    assert low_pass.down(flat)[:, :, 1:-1, 1:-1].sub(1).abs().max() < 1e-6
    assert low_pass.state_dict() == {}
    half = low_pass.up(x.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), up, rtol=0.02, atol=0.02)


def test_equalized_layers_scale_as_they_are_used() -> None:
    dense = EqualizedLinear(16, 3, gain=2, bias=0.5, lr_multiplier=0.01)
    assert dense.weight.std() > 50
    x = torch.randn(4, 16)
    expected = 2 * (x @ (dense.weight * 0.01 / 4).T + 0.5)
    torch.testing.assert_close(dense(x), expected)
    layer = EqualizedConv2d(4, 5, 3, gain=3)
    maps = torch.randn(2, 4, 6, 6)
    expected = 3 * conv2d(maps, layer.weight / 6, padding=1)
    torch.testing.assert_close(layer(maps), expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert dense(x).dtype == torch.float32


@pytest.mark.parametrize("up", [False, True])
def test_a_modulated_layer_has_weights_of_each_image_own(up: bool) -> None:
    """StyleGAN2, eq. 1 to 3."""
    torch.manual_seed(0)
    layer = ModulatedLayer(4, 6, 5, Filter() if up else None).double()
    with torch.no_grad():
        layer.bias.normal_()
    x, w = torch.randn(3, 4, 8, 8).double(), torch.randn(3, 5).double()
    expected = []
    for image, style in zip(x, layer.style(w), strict=True):
        weight = layer.weight / (9 * 4) ** 0.5 * style[None, :, None, None]
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if up:
            wide = pad(spread(image[None])[:, :, :-1, :-1], (2, 2, 2, 2))
            full = conv2d(wide, weight.flip(2, 3))
            made = tapped(pad(full, (1, 1, 1, 1)), [1, 3, 3, 1]) * 4
        else:
            made = conv2d(image[None], weight, padding=1)
        expected.append(leaky_relu(made + layer.bias[:, None, None], 0.2) * 2**0.5)
    torch.testing.assert_close(layer(x, w), torch.cat(expected))


def test_enlarging_keeps_the_mean() -> None:
    weight = torch.zeros(1, 1, 3, 3)
    weight[0, 0, 1, 1] = 1
    made = convolve(torch.ones(1, 1, 8, 8), weight, Filter())
    assert made.shape == (1, 1, 16, 16) and made[:, :, 3:-3, 3:-3].sub(1).abs().max() < 1e-6


def test_adain_gives_each_map_the_mean_and_deviation_of_the_style() -> None:
    layer = AdaINLayer(4, 6, 5, None)
    w = torch.randn(3, 5)
    scale, shift = layer.style(w).chunk(2, 1)
    made = layer(torch.randn(3, 4, 32, 32), w)
    torch.testing.assert_close(made.mean((2, 3)), shift, rtol=0, atol=1e-4)
    torch.testing.assert_close(
        made.std((2, 3), correction=0), (1 + scale).abs(), rtol=1e-3, atol=1e-4
    )


def test_sizes_are_the_published_ones() -> None:
    # StyleGAN2-ADA's "cifar": 19.95 million weights of the generator.
    with torch.device("meta"):
        generator = StyleGANGenerator(32, base=32768, mapping_layers=2)
    assert sum(p.numel() for p in generator.parameters()) == 19_947_539
    assert widths(64, 1024, 128) == [128, 128, 64, 32, 16]
    assert generator.layers_of_styles == 8


@pytest.mark.parametrize("layer", [ModulatedLayer, AdaINLayer])
def test_images_come_from_styles(layer: Layer) -> None:
    generator = small(layer=layer).eval()
    z = torch.randn(3, 6)
    styles = generator.styles(z)
    assert styles.shape == (3, generator.layers_of_styles, 5)
    torch.testing.assert_close(generator(z), generator.synthesize(styles))
    assert generator(z).shape == (3, 3, 16, 16)
    # Coarse styles decide the whole image, the last one only its colors.
    for place in range(generator.layers_of_styles):
        changed = styles.clone()
        changed[0, place] += 1
        difference = (generator.synthesize(changed) - generator(z)).abs()
        assert difference[0].max() > 1e-3 and difference[1:].max() < 1e-4


def test_images_are_bounded_by_what_comes_last() -> None:
    latents = torch.randn(2, 6)
    made = small(final=nn.Tanh())(latents)
    torch.testing.assert_close(made, small()(latents).tanh())


def test_mapping_normalizes_its_latents() -> None:
    mapping = Mapping(6, 5, 2, 0, 1.0)
    z = torch.randn(4, 6)
    torch.testing.assert_close(mapping(z), mapping(7 * z))
    labeled = Mapping(6, 5, 2, 3, 1.0)
    a, b = (labeled(z, torch.full((4,), n)) for n in (0, 1))
    assert not torch.allclose(a, b)


def test_styles_mix_in_training_alone_and_alike_on_all_processes() -> None:
    generator = small(mixing=0.5)
    z = torch.randn(8, 6)
    styles = generator.styles(z)
    assert torch.equal(generator.mix(styles), styles)
    with drawing(draws_of()):
        mixed = generator.mix(styles)
    same = (mixed == styles).all(2)
    counts = same.sum(1)
    assert bool(same[:, 0].all())  # the first layer keeps its own
    assert 0 < (counts < generator.layers_of_styles).sum() < 8
    for row, count in zip(same, counts, strict=True):
        assert bool(row[:count].all())  # a cut: coarse layers of one, finer ones of another
    halves = []
    for rank in range(2):
        with drawing(draws_of(rank, 2)):
            halves.append(generator.mix(styles[rank * 4 : rank * 4 + 4]))
    torch.testing.assert_close(torch.cat(halves), mixed)
    with drawing(draws_of()):
        assert torch.equal(generator.eval().mix(styles), styles)


def test_truncation_goes_to_the_mean_style() -> None:
    generator = small()
    styles = generator.styles(torch.randn(4096, 6))
    mean = generator.truncate(styles[:2], 0.0)[0, 0]
    torch.testing.assert_close(mean, styles[:, 0].mean(0), rtol=0, atol=0.1)
    assert torch.equal(generator.truncate(styles, 1.0), styles)
    half = generator.truncate(styles, 0.5)
    torch.testing.assert_close(half - mean, (styles - mean) / 2)


def test_truncation_of_a_class_goes_to_its_own_mean() -> None:
    generator = small(classes=2)
    labels = torch.tensor([0, 1, 0])
    styles = generator.styles(torch.randn(3, 6), labels)
    means = generator.truncate(styles, 0.0, labels)
    assert torch.equal(means[0], means[2]) and not torch.allclose(means[0], means[1])


def test_the_deviation_is_that_of_neighbors() -> None:
    features = torch.randn(8, 3, 2, 2)
    found = group_deviation(features, 4)
    assert found.shape == (8, 1, 2, 2)
    for group in (slice(0, 4), slice(4, 8)):
        one = features[group]
        expected = ((one - one.mean(0)).square().mean(0) + 1e-8).sqrt().mean()
        torch.testing.assert_close(found[group], expected.expand(4, 1, 2, 2))
    # What a discriminator is shown elsewhere may be of any number.
    assert group_deviation(features[:3], 4).abs().max() < 2e-4
    with drawing(draws_of()), pytest.raises(UserError, match=r"group=3 must divide the 8 images"):
        group_deviation(features, 3)


def test_the_discriminator_sees_its_group_and_no_other() -> None:
    torch.manual_seed(0)
    discriminator = StyleGANDiscriminator(16, base=64, max_width=8)
    images = torch.randn(8, 3, 16, 16)
    logits = discriminator(images)
    assert logits.shape == (8,)
    halves = torch.cat([discriminator(images[:4]), discriminator(images[4:])])
    torch.testing.assert_close(halves, logits)
    images[5] += 1
    changed = discriminator(images) != logits
    assert not changed[:4].any() and bool(changed[4:].all())


def test_path_lengths_are_those_of_the_derivative() -> None:
    """StyleGAN2, eq. 4, from the whole Jacobian, in float64."""
    generator = small(base=16, max_width=2).double()
    penalty = PathLength(decay=0.25).double()
    draws = Draws(3, 0, 4, Share())
    z = torch.randn(4, 6, dtype=torch.float64)
    with drawing(draws):
        loss = penalty(generator, z, z, z)
    some = draws.every(2)
    noise = some.normal("path length", 3, 16, 16).double() / 16
    lengths = []
    with drawing(some):
        styles = generator.styles(z[::2]).detach()

        def image_of(styles: Tensor) -> Tensor:
            with drawing(Draws(3, 0, 4, Share()).every(2)):
                return generator.synthesize(styles)

        jacobian = torch.autograd.functional.jacobian(image_of, styles)
    for row in range(2):
        product = torch.einsum("chw,chwld->ld", noise[row], jacobian[row][..., row, :, :])
        lengths.append(product.square().sum(1).mean().sqrt())
    mean = 0.25 * torch.stack(lengths).mean()
    torch.testing.assert_close(penalty.mean, mean)
    torch.testing.assert_close(loss, (torch.stack(lengths) - mean).square().mean())
    loss.backward()
    assert generator.mapping.layers[0].weight.grad is not None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StyleGANGenerator(24), r"data.resolution=24: this network needs 16, 32"),
        (lambda: StyleGANGenerator(16, mixing=1.5), r"mixing=1.5 must be between 0 and 1"),
        (lambda: PathLength(decay=0), r"decay=0 must be above 0"),
        (lambda: PathLength(shrink=0), r"shrink=0 must be a whole number of at least 1"),
        (
            lambda: PathLength()(nn.Identity(), torch.zeros(2), torch.zeros(2), torch.zeros(2)),
            r"path_length needs a generator with styles",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(make: Callable[[], object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()
