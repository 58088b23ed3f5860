"""The networks that perceptual losses look through: their layers, gradients, weights."""

from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from trompe.command import config_dir
from trompe.errors import UserError
from trompe.networks.deviations import load_deviations, measure_deviations
from trompe.networks.perceptual_network import VGG19, EfficientNetLite0Perceptual, PerceptualNetwork
from trompe.networks.pretrained import (
    EfficientNetLite0Layers,
    efficientnet_lite0,
    same_padded,
)


def maps(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# The embedded network


STRIDES = {
    "stem": 2,
    "b0": 2,
    "b1e": 2,
    "b2": 4,
    "b3e": 4,
    "b4e": 8,
    "b5e": 8,
    "b8e": 16,
    "b12": 32,
}


@pytest.fixture(scope="module")
def network() -> EfficientNetLite0Perceptual:
    return EfficientNetLite0Perceptual(["stem", "b1e", "b2"], ["b4e"])


def pictures(seed: int, side: int = 64) -> Tensor:
    return (maps(seed, 2, 3, side, side) * 0.3).clamp(-1, 1)


def test_the_padding_is_that_of_timm() -> None:
    """Of all sizes, since it is written without cases."""
    theirs = efficientnet_lite0()
    stages = [block for stage in theirs.blocks for block in stage]
    convolutions = [theirs.conv_stem, stages[1].conv_dw, stages[3].conv_dw]
    assert {(c.kernel_size, c.stride) for c in convolutions} == {((3, 3), (2, 2)), ((5, 5), (2, 2))}
    for convolution in convolutions:
        ours = same_padded(convolution)
        for height, width in ((16, 17), (18, 19), (20, 33)):
            images = maps(0, 1, convolution.in_channels, height, width)
            assert torch.equal(ours(images), convolution(images))


def test_gradient_reaches_the_image_and_not_the_weights(network: PerceptualNetwork) -> None:
    images = pictures(0).requires_grad_()
    found = network(images)
    assert list(found) == ["stem", "b1e", "b2", "b4e"]
    for features in found.values():
        (gradient,) = torch.autograd.grad(features.square().mean(), images, retain_graph=True)
        assert gradient.isfinite().all() and gradient.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_layers_have_the_documented_strides() -> None:
    found = EfficientNetLite0Perceptual(STRIDES, ())(pictures(1))
    assert {name: 64 // features.shape[2] for name, features in found.items()} == STRIDES
    assert all(features.shape[2] == features.shape[3] for features in found.values())


def test_layers_are_those_of_the_classifier_in_units_of_their_deviations() -> None:
    reference = efficientnet_lite0().eval()
    images = pictures(2)
    kept = {}
    reference.blocks[1][1].bn1.register_forward_hook(lambda _m, _x, y: kept.update(b2e=y.clone()))
    reference.blocks[2][1].register_forward_hook(lambda _m, _x, y: kept.update(b4=y.clone()))
    with torch.no_grad():
        reference(((images + 1) * 127.5 - 127) / 128)
    found = EfficientNetLite0Perceptual(["b2e"], ["b4"])(images)
    for layer, deviation in load_deviations(["b2e", "b4"]).items():
        unit = deviation.clamp_min(0.3 * deviation.median())[:, None, None]
        torch.testing.assert_close(found[layer], kept[layer] / unit, rtol=1e-3, atol=1e-3)


def test_stored_deviations_are_what_measuring_gives() -> None:
    measured = measure_deviations(["stem", "b2"])
    stored = load_deviations(["stem", "b2"])
    for layer, deviation in measured.items():
        torch.testing.assert_close(deviation, stored[layer], rtol=1e-3, atol=1e-4)
    every = load_deviations(EfficientNetLite0Layers.NAMES)
    assert all(
        deviation.isfinite().all() and deviation.median() > 0 for deviation in every.values()
    )


def test_nothing_behind_the_last_layer_asked_for_is_computed(network: PerceptualNetwork) -> None:
    alone = EfficientNetLite0Perceptual(["stem"], [])
    assert len(alone.network.blocks) == 0
    assert len(network.network.blocks) == 5
    calls: list[int] = []
    hook = network.network.blocks[2].project.register_forward_hook(lambda *_: calls.append(1))
    some = network(pictures(3), ["b1e"])
    assert list(some) == ["b1e"] and not calls
    network(pictures(3), ["b2"])
    hook.remove()
    assert len(calls) == 1


def test_stays_frozen_and_in_eval_mode_inside_a_module_that_trains() -> None:
    holder = nn.Sequential(EfficientNetLite0Perceptual(["stem"], ["b0"])).train()
    assert holder.training
    assert not any(module.training for module in holder[0].modules())


def test_autocast_gives_bfloat16_features_near_those_of_float32(network: PerceptualNetwork) -> None:
    images = pictures(4)
    exact = network(images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = network(images)
    for layer, features in rough.items():
        assert features.dtype == torch.bfloat16
        assert features.is_contiguous(memory_format=torch.channels_last)
        difference = (features.float() - exact[layer]).norm() / exact[layer].norm()
        assert 0 < difference < 0.05


def test_fingerprint_depends_on_weights_and_layers() -> None:
    first, second = (EfficientNetLite0Perceptual(["stem"], ["b0"]) for _ in range(2))
    assert first.fingerprint == second.fingerprint and len(first.fingerprint) == 64
    assert first.fingerprint != EfficientNetLite0Perceptual(["stem"], ["b1e"]).fingerprint
    with torch.no_grad():
        second.network.stem[0].weight[0, 0, 0, 0] += 1e-3
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(2, 3, 32, 32, dtype=torch.uint8),
        torch.zeros(2, 1, 32, 32),
        torch.zeros(3, 32, 32),
        torch.zeros(2, 3, 32, 8),
    ],
)
def test_other_images_are_refused(network: PerceptualNetwork, images: Tensor) -> None:
    with pytest.raises(ValueError, match="images must"):
        network(images)


def test_unknown_layers_are_refused(network: PerceptualNetwork) -> None:
    with pytest.raises(UserError, match="no such layer: b99; choose from stem, b0, b1e"):
        EfficientNetLite0Perceptual(["stem", "b99"], [])
    with pytest.raises(UserError, match="no such layer: none"):
        EfficientNetLite0Perceptual([], [])
    with pytest.raises(ValueError, match="b10e"):
        network(pictures(5), ["b10e"])


# VGG-19


@pytest.fixture(scope="module")
def vgg_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of the first seven convolutions, as torchvision stores and names them."""
    weights, channels = {}, 3
    for index, width in [(0, 64), (2, 64), (5, 128), (7, 128), (10, 256), (12, 256), (14, 256)]:
        weights[f"features.{index}.weight"] = maps(index, width, channels, 3, 3) * 0.05
        weights[f"features.{index}.bias"] = maps(index + 1, width) * 0.05
        channels = width
    path = tmp_path_factory.mktemp("vgg") / "vgg19.pth"
    torch.save(weights, path)
    return path


def test_vgg19_is_torchvisions(vgg_weights: Path) -> None:
    reference = make_layers(cfgs["E"], batch_norm=False)[:16].eval()
    stored = torch.load(vgg_weights, weights_only=True)
    # relu3_3 is module 15
    reference.load_state_dict({k.removeprefix("features."): v for k, v in stored.items()})
    images = pictures(6, 32)
    mean, std = (
        torch.tensor(v)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    layers = {"relu1_1": 2, "relu2_2": 9, "relu3_1": 12, "relu3_3": 16}
    found = VGG19(["relu1_1", "relu2_2"], ["relu3_3", "relu3_1"], vgg_weights)(images)
    assert list(found) == list(layers)
    for name, end in layers.items():
        expected = reference[:end]((images / 2 + 0.5 - mean) / std)
        torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=1e-4)
        assert 32 // found[name].shape[2] == 2 ** (int(name[4]) - 1)


def test_vgg19_passes_gradients_and_is_identified_by_its_weights(
    vgg_weights: Path, tmp_path: Path
) -> None:
    network = VGG19(["relu1_1"], ["relu2_1"], str(vgg_weights)).train()
    assert not network.training
    images = pictures(7, 16).requires_grad_()
    network(images)["relu2_1"].sum().backward()
    assert images.grad is not None and images.grad.abs().sum() > 0
    stored = torch.load(vgg_weights, weights_only=True)
    stored["features.0.bias"][0] += 1
    torch.save(stored, tmp_path / "other.pth")
    other = VGG19(["relu1_1"], ["relu2_1"], tmp_path / "other.pth")
    assert other.fingerprint != network.fingerprint
    assert VGG19(["relu1_1"], ["relu2_1"], vgg_weights).fingerprint == network.fingerprint


def test_vgg19_without_weights_says_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def unreachable(*_args: object, **_options: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", unreachable)
    with pytest.raises(UserError) as caught:
        VGG19(["relu1_1"], [])
    message = str(caught.value)
    assert "\n" not in message
    for way in ("weights=<path>", str(tmp_path / "hub" / "checkpoints"), "connect this machine"):
        assert way in message
    assert "vgg19-dcbb9e9d.pth" in message


def test_vgg19_names_a_file_that_holds_no_such_weights(tmp_path: Path, vgg_weights: Path) -> None:
    (tmp_path / "text.pth").write_text("hello")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    for name in ("missing.pth", "text.pth", "other.pth", "list.pth"):
        with pytest.raises(UserError, match=name) as caught:
            VGG19(["relu1_1"], [], tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="do not fit"):  # the file ends before this layer
        VGG19(["relu4_1"], [], vgg_weights)


# Configuration


@pytest.mark.parametrize("file", sorted(Path(config_dir(), "perceptual").glob("*.yaml")), ids=str)
def test_every_configured_network_can_be_made(file: Path, vgg_weights: Path) -> None:
    config = OmegaConf.load(file)
    if "weights" in config:
        with torch.device("meta"):
            empty = make_layers(cfgs["E"], batch_norm=False)[:21].state_dict()
        full = {f"features.{name}": torch.zeros(value.shape) for name, value in empty.items()}
        path = vgg_weights.with_name("zero.pth")
        torch.save(full, path)
        config.weights = str(path)
    network = instantiate(config)
    found = network(pictures(8, 32))
    assert {*network.style_layers, *network.content_layers} == set(found)
