"""The networks of unpaired translation: published sizes, receptive fields, shapes and ranges."""

import copy

import pytest
import torch
from torch import Tensor, nn

from trompe.errors import UserError
from trompe.networks.patch_discriminator import PatchNetwork
from trompe.networks.patch_gan import PatchGAN
from trompe.networks.resnet_translator import ResnetTranslator


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def millions(network: nn.Module) -> float:
    return round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 2)


def noise(*shape: int) -> Tensor:
    return torch.rand(shape) * 2 - 1


@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
def test_parameter_counts_are_the_published_ones(upsampling: str) -> None:
    assert millions(ResnetTranslator(upsampling=upsampling)) == 11.38
    assert millions(ResnetTranslator(blocks=6, upsampling=upsampling)) == 7.84
    assert millions(PatchGAN()) == 2.76


def test_exact_parameter_counts_follow_from_the_layers() -> None:
    def layer(kernel: int, before: int, after: int) -> int:
        return kernel**2 * before * after + after

    ends = layer(7, 3, 64) + layer(7, 64, 3)
    scales = layer(3, 64, 128) + layer(3, 128, 256) + layer(3, 256, 128) + layer(3, 128, 64)
    for blocks in (6, 9):
        found = sum(p.numel() for p in ResnetTranslator(blocks=blocks).parameters())
        assert found == ends + scales + blocks * 2 * layer(3, 256, 256)
    layers = [(3, 64), (64, 128), (128, 256), (256, 512), (512, 1)]
    found = sum(p.numel() for p in PatchGAN().parameters())
    assert found == sum(layer(4, *channels) for channels in layers)


@pytest.mark.parametrize(("layers", "field"), [(1, 16), (2, 34), (3, 70), (4, 142)])
def test_a_patch_has_the_published_size(layers: int, field: int) -> None:
    network = PatchGAN(4, layers)
    # Normalization looks at the whole image; without it, what is left is the patch.
    plain = nn.Sequential(*(m for m in network.layers if not isinstance(m, nn.InstanceNorm2d)))
    images = noise(1, 3, 2 * field + 64, 2 * field + 64).requires_grad_()
    logits = plain(images)
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    assert images.grad is not None
    seen = images.grad[0].abs().sum(0) > 0
    assert seen.any(0).sum() == seen.any(1).sum() == field


def test_logits_of_patches() -> None:
    network = PatchGAN(4)
    assert network(noise(2, 3, 256, 256)).shape == (2, 1, 30, 30)
    assert network(noise(2, 3, 32, 64)).shape == (2, 1, 2, 6)
    assert PatchGAN(4, channels=1)(noise(2, 1, 64, 64)).shape == (2, 1, 6, 6)
    # Raw: no bound on either side.
    with torch.no_grad():
        network.layers[-1].bias.fill_(7.0)
    assert network(noise(1, 3, 64, 64)).mean() > 1


def test_only_the_inner_layers_of_the_discriminator_are_normalized() -> None:
    kinds = [type(layer).__name__ for layer in PatchGAN(4).layers]
    inner = ["Conv2d", "InstanceNorm2d", "LeakyReLU"]
    assert kinds == ["Conv2d", "LeakyReLU", *inner * 3, "Conv2d"]
    norms = [layer for layer in PatchGAN(4).modules() if isinstance(layer, nn.InstanceNorm2d)]
    assert not any(norm.affine or norm.track_running_stats for norm in norms)
    strides = [layer.stride[0] for layer in PatchGAN(4).layers if isinstance(layer, nn.Conv2d)]
    assert strides == [2, 2, 2, 1, 1]


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_images_below_a_patch_of_features_are_refused_in_one_line(layers: int) -> None:
    network = PatchGAN(2, layers)
    assert network(noise(1, 3, network.smallest, network.smallest)).shape == (1, 1, 1, 1)
    with pytest.raises(UserError, match=rf"needs at least {3 * 2**layers} pixels"):
        network(noise(1, 3, network.smallest - 1, 64))


def test_the_style_discriminator_has_the_same_layers() -> None:
    styled = PatchNetwork(5, 4, 3)
    kinds = [type(layer).__name__ for layer in styled.layers]
    assert kinds == ["ParametrizedConv2d", "LeakyReLU"] * 4
    assert (
        styled.layers[-2].out_channels == 32 and styled(noise(2, 3, 64, 64), noise(2, 5)).ndim == 3
    )


@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
def test_translations_have_the_shape_and_range_of_images(upsampling: str) -> None:
    network = ResnetTranslator(4, 2, upsampling=upsampling)
    assert network.multiple == 4
    for shape in ((2, 3, 32, 32), (1, 3, 36, 20), (1, 3, 8, 8)):
        made = network(noise(*shape))
        assert made.shape == shape and made.isfinite().all()
    with torch.no_grad():
        network.layers[-1].weight.mul_(1000)
    made = network(noise(2, 3, 32, 32))
    assert -1 <= made.min() < -0.9 and 0.9 < made.max() <= 1
    assert ResnetTranslator(4, 1, channels=1)(noise(1, 1, 16, 16)).shape == (1, 1, 16, 16)


def test_sides_that_do_not_fit_are_refused_in_one_line() -> None:
    network = ResnetTranslator(2, 1)
    for height, width in ((30, 32), (32, 33), (4, 32)):
        with pytest.raises(UserError, match=rf"{width} x {height} pixels.* multiples of 4"):
            network(noise(1, 3, height, width))
    with pytest.raises(UserError, match=r"upsampling=bilinear must be transposed or resize"):
        ResnetTranslator(upsampling="bilinear")


@pytest.mark.parametrize("kind", [ResnetTranslator, PatchGAN])
def test_weights_begin_as_published(kind: type[nn.Module]) -> None:
    for name, parameter in kind().requires_grad_(False).named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
        elif parameter.numel() > 10_000:
            assert parameter.mean().abs() < 0.001
            assert parameter.std() == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
def test_every_layer_learns_and_biases_before_norms_change_nothing(upsampling: str) -> None:
    network = ResnetTranslator(4, 2, upsampling=upsampling)
    images = noise(2, 3, 16, 16)
    made = network(images)
    made.square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all()
        if name.endswith("weight"):
            assert parameter.grad.any(), name
    shifted = copy.deepcopy(network)
    with torch.no_grad():
        for name, parameter in shifted.named_parameters():
            if name.endswith("bias") and parameter is not shifted.layers[-1].bias:
                parameter.add_(0.1)
    assert torch.allclose(shifted(images), made, atol=1e-4)


def test_the_residual_path_is_there() -> None:
    network = ResnetTranslator(4, 1)
    block = next(m for m in network.layers if type(m).__name__ == "_Block")
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()
    features = noise(2, 16, 8, 8)
    assert torch.equal(block(features), features)


def test_a_skip_keeps_what_instance_normalization_takes_away() -> None:
    network = ResnetTranslator(4, 1, skip=True)
    with torch.no_grad():
        network.layers[-1].weight.zero_()
    images = torch.cat([noise(1, 3, 16, 16).clamp(-1, 1), torch.ones(1, 3, 16, 16)])
    assert torch.allclose(network(images), 0.98 * images, atol=1e-6)
    texture = noise(1, 3, 16, 16) / 4
    dark, light = texture - 0.4, texture + 0.4
    plain = ResnetTranslator(4, 1)
    assert torch.allclose(plain(dark), plain(light), atol=1e-4)
    assert (network(light) - network(dark)).mean() > 0.7
