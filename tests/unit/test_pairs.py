"""Measures of pictures against the content and style that they were made of."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import skimage
import torch
import torchvision
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate
from torchmetrics.functional.image.lpips import learned_perceptual_image_patch_similarity

from trompe.data.painter import PaintedSource
from trompe.errors import UserError
from trompe.images import to_signed
from trompe.methods.capabilities import Images, take
from trompe.methods.style import StyleInputs
from trompe.metrics.art import ArtFID
from trompe.metrics.feature_comparison import FeatureComparison
from trompe.metrics.features import RandomConv
from trompe.metrics.lpips import LPIPS
from trompe.metrics.pairs import ContentStructure, PairComparison, PatchDistance, StyleError
from trompe.networks.perceptual_network import EfficientNetLite0Perceptual, RandomConvPerceptual


def tensor(picture: Image.Image) -> Tensor:
    small = picture.convert("RGB").resize((96, 96))
    return (
        torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8)
        .view(96, 96, 3)
        .permute(2, 0, 1)
    )


@pytest.fixture(scope="module")
def photographs() -> Tensor:
    names = ("astronaut", "coffee", "chelsea", "rocket")
    return torch.stack([tensor(Image.fromarray(getattr(skimage.data, n)())) for n in names])


@pytest.fixture(scope="module")
def paintings() -> Tensor:
    return torch.stack([tensor(Image.fromarray(PaintedSource(5, 96, 0).read(i))) for i in range(4)])


@pytest.fixture(scope="module")
def content() -> ContentStructure:
    return ContentStructure(RandomConvPerceptual())


@pytest.fixture(scope="module")
def style() -> StyleError:
    return StyleError(EfficientNetLite0Perceptual(["b1", "b5e"], []))


def test_content_is_told_by_structure_and_not_by_color(
    content: ContentStructure, photographs: Tensor, paintings: Tensor
) -> None:
    photos = to_signed(photographs)
    nothing = photos[:1]
    torch.testing.assert_close(content(photos, photos, nothing), torch.zeros(4), atol=1e-6, rtol=0)
    tinted = (photos * torch.tensor([0.5, 0.8, 0.6])[:, None, None] - 0.1).flip(1)
    blurred = interpolate(avg_pool2d(photos, 8), scale_factor=8.0)
    others = photos.roll(1, 0)
    changes = [content(x, photos, nothing) for x in (tinted, blurred, to_signed(paintings), others)]
    assert all(bool((change > 0).all() and (change < 2).all()) for change in changes)
    # Colors hardly count; losing detail counts for less than being another picture.
    assert changes[0].mean() < 0.4 * changes[3].mean()
    assert changes[1].mean() < changes[2].mean()


def test_style_is_told_by_statistics_and_not_by_place(
    style: StyleError, photographs: Tensor, paintings: Tensor
) -> None:
    painted, nothing = to_signed(paintings), to_signed(photographs)
    torch.testing.assert_close(style(painted, nothing, painted), torch.zeros(4), atol=1e-9, rtol=0)
    same = style(painted.flip(3), nothing, painted)
    other = style(painted.roll(1, 0), nothing, painted)
    assert same.mean() < 0.2 * other.mean()
    # By hand, for one layer: relative squared distance of means and deviations.
    maps = [style.network(x)["b1"][:1].flatten(2) for x in (nothing, painted)]
    ours, theirs = (torch.cat([m.mean(2), (m.var(2, correction=0) + 1e-5).sqrt()], 1) for m in maps)
    expected = (ours - theirs).square().sum() / theirs.square().sum()
    alone = StyleError(EfficientNetLite0Perceptual(["b1"], []))
    torch.testing.assert_close(alone(nothing, nothing, painted)[0], expected)


def test_patches_tell_colors_and_textures_and_not_places(
    photographs: Tensor, paintings: Tensor
) -> None:
    measure = PatchDistance()
    styles, photos = to_signed(paintings), to_signed(photographs)
    torch.testing.assert_close(measure(styles, photos, styles), torch.zeros(4), atol=1e-6, rtol=0)
    moved = measure(styles.roll((34, 20), (2, 3)), photos, styles)
    others = measure(photos, photos, styles)
    assert (moved < 0.35 * others).all()
    # The colors of each pixel are those of the style, but strokes there are none.
    shuffled = styles.flatten(2)[:, :, torch.randperm(96 * 96)].view_as(styles)
    assert (measure(shuffled, photos, styles) > moved).all()
    # Where the coarsest patches do not fit, the finer ones count.
    small = styles[..., :16, :16]
    assert (measure(small, small, small.flip(1)) > 0).all()
    # The distance of each does not depend on its neighbors.
    torch.testing.assert_close(measure(photos[2:3], photos[2:3], styles[2:3]), others[2:3])


def test_means_errors_and_any_division_of_the_work(
    content: ContentStructure, style: StyleError, photographs: Tensor, paintings: Tensor
) -> None:
    pairs, images = StyleInputs(photographs, paintings), photographs.roll(1, 2)

    def scores(parts: list[list[int]]) -> dict:
        metric = PairComparison({"content": content, "style": style}, 4)
        metric.prepare(SimpleNamespace(contents=None, fingerprint="abc"))
        for part in parts:
            numbers = torch.tensor(part, dtype=torch.long)
            metric.update(Images(images[numbers]), numbers, take(pairs, numbers))
        assert metric.directions() == {"content_random_conv": "lower", "style_efflite0": "lower"}
        card = metric.protocols()["content_random_conv"]
        assert card["data"] == "abc" and card["features"] == "random_conv: conv3, conv4"
        return metric.compute()

    whole = scores([[0, 1, 2, 3]])
    assert scores([[2, 3], [], [0, 1]]) == whole
    each = content(to_signed(images), to_signed(photographs), to_signed(paintings)).double()
    value, error, *_ = whole["content_random_conv"]
    assert value == pytest.approx(float(each.mean()), rel=1e-6)
    assert error == pytest.approx(float(each.std()) / 2, rel=1e-6)
    with pytest.raises(RuntimeError, match="1 images are missing"):
        scores([[0, 1, 2]])


def test_data_without_pairs_are_refused(content: ContentStructure) -> None:
    metric = PairComparison({"content": content}, 2)
    with pytest.raises(UserError, match="content_random_conv compare images with the content"):
        metric.prepare(SimpleNamespace(fingerprint="abc"))


@pytest.fixture(scope="module")
def torch_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A torch cache with random weights where torchvision would put AlexNet's and SqueezeNet's."""
    home = tmp_path_factory.mktemp("torch")
    (home / "hub/checkpoints").mkdir(parents=True)
    for name in ("alexnet", "squeezenet1_1"):
        torch.manual_seed(0)
        weights = torchvision.models.get_model_weights(name).DEFAULT
        state = torchvision.models.get_model(name, weights=None).state_dict()
        torch.save(state, home / "hub/checkpoints" / Path(weights.url).name)
    return home


@pytest.mark.parametrize("network", ["alex", "squeeze"])
def test_lpips_is_torchmetrics(
    network: str,
    torch_home: Path,
    photographs: Tensor,
    paintings: Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(torch_home))
    photos, painted = to_signed(photographs), to_signed(paintings)
    expected = learned_perceptual_image_patch_similarity(painted, photos, network, reduction="none")  # type: ignore[arg-type]
    measure = LPIPS(network)
    assert measure.name == f"lpips_{network}"
    torch.testing.assert_close(measure(painted, photos, painted), expected)
    torch.testing.assert_close(measure(photos, photos, painted), torch.zeros(4))
    # The same by a path; the values depend on the weights, and so does the card.
    monkeypatch.setenv("TORCH_HOME", "/nowhere")
    (stored,) = (torch_home / "hub/checkpoints").glob(f"{network}*")
    assert LPIPS(network, str(stored)).protocol == measure.protocol


def test_lpips_without_its_weights_is_one_line(torch_home: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such network: vg; choose from alex, vgg, squeeze"):
        LPIPS("vg")
    with pytest.raises(UserError, match="there is no such file"):
        LPIPS("alex", "missing.pth")
    (others,) = (torch_home / "hub/checkpoints").glob("squeeze*")
    with pytest.raises(UserError, match="do not fit"):
        LPIPS("alex", str(others))


def test_artfid_is_the_product_and_comes_with_its_factors(
    torch_home: Path, photographs: Tensor, paintings: Tensor
) -> None:
    (path,) = (torch_home / "hub/checkpoints").glob("alex*")
    lpips, features = LPIPS("alex", str(path)), RandomConv(dim=2)
    metric = ArtFID(lpips, features, n_images=4, n_reference=4)
    data = SimpleNamespace(
        contents=None,
        fingerprint="abc",
        class_names=(),
        split_size=lambda split: 4,
        gather=lambda split, numbers: SimpleNamespace(
            images=paintings[numbers], labels=torch.zeros(4).long()
        ),
    )
    metric.prepare(data)
    metric.with_errors = True
    pairs, images = StyleInputs(photographs, paintings), photographs.roll(1, 2)
    for part in (slice(2, 4), slice(2)):
        metric.update(Images(images[part]), torch.arange(4)[part], take(pairs, part))
    scores = metric.compute()
    assert list(scores) == ["lpips_alex", "fd_random_conv", "artfd_random_conv"]
    three = [scores[name] for name in scores]
    expected = lpips(*map(to_signed, (images, photographs, paintings)))
    assert three[0].value == pytest.approx(float(expected.mean()), rel=1e-5)
    alone = FeatureComparison(features, ["fd"], 4, 4)
    alone.prepare(data)
    alone.update(Images(images), torch.arange(4))
    assert three[1].value == pytest.approx(alone.compute()["fd_random_conv"].value)
    assert three[2].value == pytest.approx((1 + three[0].value) * (1 + three[1].value))
    assert three[2].standard_error == pytest.approx(
        (
            (three[0].standard_error * (1 + three[1].value)) ** 2
            + (three[1].standard_error * (1 + three[0].value)) ** 2
        )
        ** 0.5
    )
    assert set(metric.directions().values()) == {"lower"} and set(metric.protocols()) == set(scores)
    card = metric.protocols()["artfd_random_conv"]
    assert card["features"] == "random_conv" and card["content"]["features"] == "lpips_alex"
