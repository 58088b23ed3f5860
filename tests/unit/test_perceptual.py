"""Perceptual losses against loops over their papers' formulas, and the networks they look at."""

from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn.functional import pixel_unshuffle
from torchvision.models.vgg import cfgs, make_layers

from trompe.command import config_dir
from trompe.errors import UserError
from trompe.losses import perceptual as losses
from trompe.losses.perceptual import ChannelStatistics
from trompe.networks.deviations import load_deviations, measure_deviations
from trompe.networks.perceptual import VGG19, EfficientNetLite0Perceptual, PerceptualNetwork
from trompe.networks.pretrained import EfficientNetLite0Layers, efficientnet_lite0

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


def test_gram_matrix_is_normalised_by_the_positions_in_any_memory_format() -> None:
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
        losses.adaptive_instance_normalisation(x, *losses.channel_statistics(x)), x
    )


def test_adain_gives_the_statistics_asked_for_and_keeps_the_type() -> None:
    x = maps(11, 2, 3, 8, 8)
    mean, std = maps(12, 2, 3), maps(13, 2, 3).abs() + 0.1
    result = losses.adaptive_instance_normalisation(x, mean, std)
    np.testing.assert_allclose(result.numpy().mean((2, 3)), mean.numpy(), atol=1e-5)
    np.testing.assert_allclose(result.numpy().std((2, 3)), std.numpy(), rtol=1e-3)
    assert losses.adaptive_instance_normalisation(x.bfloat16(), mean, std).dtype == torch.bfloat16
    for wrong in (mean[:, :2], maps(0, 3, 3)):
        with pytest.raises(ValueError):
            losses.adaptive_instance_normalisation(x, wrong, std)
        with pytest.raises(ValueError):
            losses.adaptive_instance_normalisation(x, mean, wrong)


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


def test_total_variation_counts_neighbours() -> None:
    x = maps(22, 2, 3, 4, 5)
    pixels = x.double().numpy()
    down = [abs(pixels[..., i + 1, j] - pixels[..., i, j]) for i in range(3) for j in range(5)]
    right = [abs(pixels[..., i, j + 1] - pixels[..., i, j]) for i in range(4) for j in range(4)]
    assert float(losses.total_variation(x)) == pytest.approx(np.mean(down) + np.mean(right))
    assert losses.total_variation(torch.full((1, 3, 4, 4), 0.3)) == 0
    with pytest.raises(ValueError, match="2 x 2"):
        losses.total_variation(x[..., :1])


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
    for way in ("weights=PATH", str(tmp_path / "hub" / "checkpoints"), "download"):
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
    with pytest.raises(UserError, match="vgg19"):  # the file ends before this layer
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
