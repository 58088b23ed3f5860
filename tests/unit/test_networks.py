"""The networks: sizes, ranges, initialization, copies, precision and memory formats."""

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from trompe.errors import UserError
from trompe.networks.dcgan import DCGANDiscriminator, DCGANGenerator, Project, Reduce
from trompe.networks.mlp import Maxout, MLPDiscriminator, MLPGenerator
from trompe.networks.sndcgan import SNDCGANDiscriminator, SNDCGANGenerator

Make = Callable[..., nn.Module]

# Small members of each family; called with (resolution, channels).
GENERATORS: dict[str, Make] = {
    "dcgan": partial(DCGANGenerator, latent_dim=10, width=4, max_multiplier=4),
    "dcgan_without_norm": partial(DCGANGenerator, latent_dim=10, width=4, norm=None),
    "mlp": partial(MLPGenerator, latent_dim=10, width=16),
    "sndcgan": partial(SNDCGANGenerator, latent_dim=10, width=4),
}
DISCRIMINATORS: dict[str, Make] = {
    "dcgan": partial(DCGANDiscriminator, width=4, max_multiplier=4),
    "dcgan_without_norm": partial(DCGANDiscriminator, width=4, norm=None),
    "mlp": partial(MLPDiscriminator, width=8, pieces=3),
    "sndcgan": partial(SNDCGANDiscriminator, width=4),
}
EVERY_GENERATOR = pytest.mark.parametrize("make", GENERATORS.values(), ids=GENERATORS)
EVERY_DISCRIMINATOR = pytest.mark.parametrize("make", DISCRIMINATORS.values(), ids=DISCRIMINATORS)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def images(resolution: int = 16, channels: int = 3, count: int = 4) -> Tensor:
    return torch.rand(count, channels, resolution, resolution) * 2 - 1


def weights(network: nn.Module, *kinds: type[nn.Module]) -> list[Tensor]:
    """Of all layers of these kinds; of a spectrally normalized one, the trained weight."""
    layers = [name for name, layer in network.named_modules() if isinstance(layer, kinds)]
    found = dict(network.named_parameters())
    suffixes = ("weight", "parametrizations.weight.original")
    return [
        found[f"{name}.{end}"] for name in layers for end in suffixes if f"{name}.{end}" in found
    ]


# Sizes


def test_parameter_counts_are_those_of_the_published_64_pixel_networks() -> None:
    assert parameters(DCGANGenerator(64)) == 3_576_704
    assert parameters(DCGANDiscriminator(64)) == 2_765_568


def test_sndcgan_parameter_counts_follow_table_3() -> None:
    def conv(size: int, before: int, after: int) -> int:
        return size * size * before * after + after

    norms = 2 * (256 + 128 + 64)
    dense = 128 * 4 * 4 * 512 + 4 * 4 * 512
    deconvolutions = conv(4, 512, 256) + conv(4, 256, 128) + conv(4, 128, 64)
    expected = dense + deconvolutions + norms + conv(3, 64, 3)
    assert parameters(SNDCGANGenerator()) == expected

    layers = [(3, 3, 64), (4, 64, 64), (3, 64, 128), (4, 128, 128), (3, 128, 256), (4, 256, 256)]
    expected = sum(conv(*layer) for layer in layers) + conv(3, 256, 512) + 512 * 4 * 4 + 1
    assert parameters(SNDCGANDiscriminator()) == expected


def test_mlp_parameter_counts_follow_the_published_mnist_settings() -> None:
    expected = 100 * 1200 + 1200 + 1200 * 1200 + 1200 + 1200 * 784 + 784
    assert parameters(MLPGenerator(28, 1)) == expected
    expected = 784 * 1200 + 1200 + 240 * 1200 + 1200 + 240 + 1
    assert parameters(MLPDiscriminator(28, 1)) == expected


@pytest.mark.parametrize(("resolution", "maps"), [(16, 8), (32, 16), (64, 32), (256, 32)])
def test_dcgan_is_widest_at_4x4_up_to_the_limit(resolution: int, maps: int) -> None:
    generator = DCGANGenerator(resolution, width=4, max_multiplier=8)
    assert weights(generator, nn.ConvTranspose2d)[0].shape == (100, maps, 4, 4)
    discriminator = DCGANDiscriminator(resolution, width=4, max_multiplier=8)
    assert weights(discriminator, nn.Conv2d)[-1].shape == (1, maps, 4, 4)


# Shapes and ranges


@pytest.mark.parametrize("resolution", [16, 32, 64, 128, 256])
@EVERY_GENERATOR
def test_generators_make_images(make: Make, resolution: int) -> None:
    channels = 1 if resolution == 32 else 3
    generator = make(resolution, channels)
    assert generator.latent_dim == 10
    made = generator(torch.randn(2, 10) * 100)
    assert made.shape == (2, channels, resolution, resolution)
    assert made.min() >= -1 and made.max() <= 1
    assert made.min() < 0 < made.max()


@pytest.mark.parametrize("resolution", [16, 32, 64, 128, 256])
@EVERY_DISCRIMINATOR
def test_discriminators_give_one_logit_an_image(make: Make, resolution: int) -> None:
    channels = 1 if resolution == 32 else 3
    logits = make(resolution, channels)(images(resolution, channels, 2))
    assert logits.shape == (2,)
    assert logits.isfinite().all()


def test_mlp_takes_any_side_up_to_256() -> None:
    assert MLPGenerator(28, 1, width=8)(torch.randn(2, 100)).shape == (2, 1, 28, 28)
    assert MLPDiscriminator(28, 1, width=8)(images(28, 1)).shape == (4,)


@pytest.mark.parametrize("resolution", [0, 8, 28, 48, 512])
@pytest.mark.parametrize(
    "make", [DCGANGenerator, DCGANDiscriminator, SNDCGANGenerator, SNDCGANDiscriminator]
)
def test_other_sides_are_refused_in_one_line(make: Make, resolution: int) -> None:
    with pytest.raises(UserError, match=rf"^data.resolution={resolution}: .* 256 pixels$"):
        make(resolution)


@pytest.mark.parametrize("resolution", [0, -1, 257])
@pytest.mark.parametrize("make", [MLPGenerator, MLPDiscriminator])
def test_mlp_refuses_impossible_sides(make: Make, resolution: int) -> None:
    with pytest.raises(UserError, match=f"data.resolution={resolution}: .* 1 to 256"):
        make(resolution, 1)


# Layers


def test_dcgan_norm_is_where_the_paper_puts_it() -> None:
    generator = [type(layer) for layer in DCGANGenerator(32, width=4).layers]
    stage = [nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU]
    first = [Project, nn.BatchNorm2d, nn.ReLU]
    assert generator == [*first, *stage, *stage, nn.ConvTranspose2d, nn.Tanh]
    discriminator = [type(layer) for layer in DCGANDiscriminator(32, width=4).layers]
    stage = [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU]
    assert discriminator == [nn.Conv2d, nn.LeakyReLU, *stage, *stage, Reduce]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_the_layers_run_as_matrix_products_are_convolutions(
    bias: bool, memory_format: torch.memory_format
) -> None:
    torch.manual_seed(0)
    project = Project(5, 7, 4, 1, 0, bias=bias).to(memory_format=memory_format)
    latents = torch.randn(3, 5)
    maps = nn.ConvTranspose2d.forward(project, latents[:, :, None, None])
    torch.testing.assert_close(project(latents), maps)
    reduce = Reduce(7, 2, 4, 1, 0, bias=bias).to(memory_format=memory_format)
    torch.testing.assert_close(reduce(maps), nn.Conv2d.forward(reduce, maps)[:, :, 0, 0])


@pytest.mark.parametrize("make", [DCGANGenerator, DCGANDiscriminator])
def test_dcgan_has_biases_only_without_norm(make: Make) -> None:
    kinds = nn.Conv2d | nn.ConvTranspose2d
    for norm in (None, nn.BatchNorm2d):
        layers = [m for m in make(32, width=4, norm=norm).modules() if isinstance(m, kinds)]
        assert layers
        assert all((layer.bias is not None) == (norm is None) for layer in layers)


def test_leaky_slopes_are_the_papers() -> None:
    for make, slope in ((DCGANDiscriminator, 0.2), (SNDCGANDiscriminator, 0.1)):
        slopes = {m.negative_slope for m in make(32).modules() if isinstance(m, nn.LeakyReLU)}
        assert slopes == {slope}


def test_maxout_is_the_largest_of_its_pieces() -> None:
    layer = Maxout(3, 2, pieces=5)
    x = torch.randn(4, 3)
    pieces = (x @ layer.linear.weight.T + layer.linear.bias).reshape(4, 2, 5)
    expected = torch.stack([pieces[..., i] for i in range(5)]).max(dim=0).values
    torch.testing.assert_close(layer(x), expected)


def test_mlp_dropout_is_active_in_training_only() -> None:
    discriminator = MLPDiscriminator(16, 3, width=8)
    assert [m.p for m in discriminator.modules() if isinstance(m, nn.Dropout)] == [0.2, 0.5, 0.5]
    x = images()
    assert not torch.equal(discriminator(x), discriminator(x))
    discriminator.eval()
    assert torch.equal(discriminator(x), discriminator(x))


def test_every_layer_of_the_sndcgan_discriminator_is_normalized() -> None:
    discriminator = SNDCGANDiscriminator(32, width=8).train()
    for _ in range(50):  # power iterations, one a forward pass
        discriminator(images(32, count=2))
    discriminator.eval()
    layers = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 8
    for layer in layers:
        largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
        torch.testing.assert_close(largest, torch.tensor(1.0), rtol=0.01, atol=0)


# Initialization

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


@pytest.mark.parametrize(
    "make", [DCGANGenerator, DCGANDiscriminator, SNDCGANGenerator, SNDCGANDiscriminator]
)
def test_convolutions_start_from_normals_of_deviation_0_02(make: Make) -> None:
    network = make(32, width=32)
    for weight in weights(network, *CONVOLUTIONS):
        tolerance = 5 / weight.numel() ** 0.5
        assert abs(weight.mean()) < 0.02 * tolerance
        assert abs(weight.std() / 0.02 - 1) < tolerance
    if norms := weights(network, nn.BatchNorm2d):
        scales = torch.cat(norms)
        assert abs(scales.mean() - 1) < 0.02
        assert 0.015 < scales.std() < 0.025
    biases = [p for name, p in network.named_parameters() if name.endswith("bias")]
    assert all(not bias.any() for bias in biases)


@pytest.mark.parametrize(("make", "irange"), [(MLPGenerator, 0.05), (MLPDiscriminator, 0.005)])
def test_mlp_starts_from_the_published_uniform_ranges(make: Make, irange: float) -> None:
    network = make(16, 1)
    for weight in weights(network, nn.Linear):
        assert 0.95 * irange < weight.abs().max() <= irange
        assert abs(weight.std() / (irange / 3**0.5) - 1) < 0.1
    assert all(not p.any() for name, p in network.named_parameters() if name.endswith("bias"))


# Copies and checkpoints


@EVERY_DISCRIMINATOR
def test_discriminators_can_be_copied_and_reloaded_after_training(make: Make) -> None:
    discriminator, x = make(16, 3), images()
    discriminator(x).sum().backward()
    fresh = make(16, 3)
    fresh.load_state_dict(copy.deepcopy(discriminator.state_dict()))
    copied = copy.deepcopy(discriminator)
    # In training mode: power iteration and running statistics go on from the same state.
    results = []
    for network in (discriminator, fresh, copied):
        torch.manual_seed(1)
        results.append([network.train()(x) for _ in range(3)][-1])
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
    for name, value in discriminator.state_dict().items():
        assert torch.equal(value, fresh.state_dict()[name]), name
    shared = {p.data_ptr() for p in discriminator.parameters()}
    assert not shared & {p.data_ptr() for p in copied.parameters()}


@EVERY_GENERATOR
def test_generators_can_be_copied_and_reloaded(make: Make) -> None:
    generator, z = make(16, 3), torch.randn(4, 10)
    generator(z).sum().backward()
    fresh = make(16, 3)
    fresh.load_state_dict(generator.state_dict())
    expected = generator.eval()(z)
    assert torch.equal(fresh.eval()(z), expected)
    assert torch.equal(copy.deepcopy(generator)(z), expected)


# Precision, memory format, derivatives


@EVERY_GENERATOR
def test_generators_work_in_bfloat16_and_channels_last(make: Make) -> None:
    generator, z = make(32, 3).eval(), torch.randn(4, 10)
    expected = generator(z)
    last = generator.to(memory_format=torch.channels_last)
    torch.testing.assert_close(last(z), expected, rtol=1e-4, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        made = last(z)
    assert made.isfinite().all()
    torch.testing.assert_close(made.float(), expected, rtol=0.1, atol=0.05)


@EVERY_DISCRIMINATOR
def test_discriminators_work_in_bfloat16_and_channels_last(make: Make) -> None:
    discriminator, x = make(32, 3).eval(), images(32)
    expected = discriminator(x)
    last = discriminator.to(memory_format=torch.channels_last)
    x = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(last(x), expected, rtol=1e-4, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        logits = last.train()(x)
        logits.sum().backward()
    assert logits.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in last.parameters())


@EVERY_DISCRIMINATOR
def test_discriminators_can_be_differentiated_twice(make: Make) -> None:
    discriminator, x = make(16, 3), images().requires_grad_()
    discriminator.to(memory_format=torch.channels_last)
    (gradient,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
    gradient.square().sum().backward()
    reached = weights(discriminator, *CONVOLUTIONS)
    assert reached
    for weight in reached:
        assert weight.grad is not None and weight.grad.isfinite().all() and weight.grad.any()
