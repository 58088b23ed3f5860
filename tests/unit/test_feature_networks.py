"""Inception-v3 and timm's networks from files, resizing, and what they say without weights."""

from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn
from torch_fidelity import feature_extractor_inceptionv3
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

from tests.unit.test_frechet import Photographs, images
from trompe.errors import UserError
from trompe.methods.capabilities import Images
from trompe.metrics import measures
from trompe.metrics.feature_comparison import FeatureComparison
from trompe.metrics.features import EfficientNetLite0, RandomConv
from trompe.metrics.frechet import fit_gaussian, frechet_distance
from trompe.metrics.inception import InceptionV3, inception_score
from trompe.metrics.kernel import kernel_distance
from trompe.metrics.reference import Reference
from trompe.metrics.resizing import FILTERS, resize
from trompe.metrics.transformers import TimmFeatures


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the form of torch-fidelity's, with random weights."""
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    with pytest.MonkeyPatch.context() as patch:
        loader = "load_state_dict_from_url"
        patch.setattr(feature_extractor_inceptionv3, loader, lambda *_, **__: {})
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        torch.manual_seed(0)
        network = FeatureExtractorInceptionV3("inception", ["2048"])
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    torch.save(network.state_dict(), path)
    return path


def test_inception_is_torch_fidelitys(inception_file: Path) -> None:
    some = images(3, 32)
    ours = InceptionV3(str(inception_file), resizing="bilinear-tensorflow1")
    theirs = FeatureExtractorInceptionV3("i", ["2048", "logits_unbiased"], str(inception_file))
    features, logits = theirs(some)
    torch.testing.assert_close(ours(some), features, rtol=1e-4, atol=1e-4 * float(features.std()))
    assert float(features.std(0).mean()) > 1e-3 * float(features.abs().mean())
    assert ours.classifier is not None
    unbiased = features @ ours.classifier.T
    torch.testing.assert_close(unbiased, logits)
    clean = InceptionV3(str(inception_file))
    assert float((clean(some) - features).abs().max()) > 1e-2 * float(features.std())
    assert clean.fingerprint != ours.fingerprint


def test_inceptions_metrics_have_their_customary_names(inception_file: Path) -> None:
    measures = ["fd", "kd", "inception_score", "recall"]
    metric = FeatureComparison(InceptionV3(str(inception_file)), measures, 12, 12)
    metric.prepare(Photographs(some=images(12, 32)))
    metric.update(Images(images(12, 32, seed=1)), torch.arange(12))
    scores = metric.compute()
    assert list(scores) == ["fid", "kid", "inception_score", "recall_inception"]
    assert 1 <= scores["inception_score"].value < 1008
    assert (
        metric.directions()["inception_score"] == "higher" and metric.directions()["fid"] == "lower"
    )
    note = scores["fid"].note
    assert note is not None and "needs 2049" in note and "kd" in note
    assert set(metric.protocols()) == set(scores)


def test_measures_equal_torch_fidelitys() -> None:
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(300, 24, generator=generator, dtype=torch.float64)
    made = real.roll(7, 1) * 1.1 + torch.randn(300, 24, generator=generator, dtype=torch.float64)
    theirs = fid_statistics_to_metric(
        fid_features_to_statistics(real), fid_features_to_statistics(made), verbose=False
    )["frechet_inception_distance"]
    assert float(frechet_distance(fit_gaussian(real), made)) == pytest.approx(theirs, rel=1e-9)
    kid = kid_features_to_metric(real, made, kid_subsets=1, kid_subset_size=300, verbose=False)
    ours = kernel_distance(real, made).value
    assert ours == pytest.approx(kid["kernel_inception_distance_mean"], rel=1e-9)
    logits = 3 * torch.randn(100, 7, generator=generator)
    isc = isc_features_to_metric(logits, splits=10, shuffle=False)
    assert inception_score(logits).value == pytest.approx(isc["inception_score_mean"], rel=1e-9)


def test_inception_score_at_its_ends() -> None:
    certain = 100 * torch.eye(5).repeat(20, 1)
    assert inception_score(certain).value == pytest.approx(5)
    assert inception_score(torch.randn(1, 5).repeat(20, 1)).value == pytest.approx(1)
    with pytest.raises(ValueError, match="at least 10 images, not 9"):
        inception_score(certain[:9])


def test_timm_networks_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = timm.create_model("test_vit", pretrained=False)
    path = tmp_path / "weights.pth"
    torch.save(network.state_dict(), path)
    features = TimmFeatures("small", "test_vit", str(path), 160)
    some = images(2, 160)
    output = features(some)
    assert output.shape == (2, features.dim) and features.name == "small"
    mean, std = (torch.tensor(features.network.pretrained_cfg[k]) for k in ("mean", "std"))
    scaled = (some.permute(0, 2, 3, 1) / 255 - mean) / std
    with torch.no_grad():
        expected = network.eval()(scaled.permute(0, 3, 1, 2))
    torch.testing.assert_close(output, expected)


def test_without_weights_the_three_ways_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(UserError, match=r"weights=<path>.*put it at .*pth, or connect") as said:
        InceptionV3()
    assert "\n" not in str(said.value) and str(tmp_path) in str(said.value)
    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(UserError, match=r"weights=<path>.*hub's cache \(HF_HOME\), or connect"):
        TimmFeatures("dinov2", "vit_small_patch14_dinov2.lvd142m")
    with pytest.raises(UserError, match="weights=nowhere: there is no such file"):
        InceptionV3("nowhere")
    wrong = tmp_path / "wrong.pth"
    torch.save({"a": torch.zeros(1)}, wrong)
    with pytest.raises(UserError, match=r"wrong\.pth do not fit"):
        InceptionV3(str(wrong))
    wrong.write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"wrong\.pth do not fit"):
        InceptionV3(str(wrong))


def reduced(pixels: Tensor, antialias: bool) -> Tensor:
    small = nn.functional.interpolate(
        pixels.float(), scale_factor=0.25, mode="bicubic", antialias=antialias
    )
    return small.round().clamp(0, 255).byte()


def test_clean_resizing_keeps_aliasing_out_of_the_number() -> None:
    """Pictures that were reduced well must look so; a filter that aliases adds its own distance."""
    large = images(64, 256)
    clean = EfficientNetLite0(input_size=64)
    aliasing = EfficientNetLite0(input_size=64, resizing="bilinear-tensorflow1")
    reference = reduced(large, antialias=True)
    by_filter = {}
    for features in (clean, aliasing):
        real, made = features(reference), features(large)
        by_filter[features.resizing] = float(frechet_distance(fit_gaussian(real), made))
    assert by_filter["bilinear-tensorflow1"] > 5 * by_filter["bicubic-antialias"]


@pytest.mark.parametrize("name", FILTERS)
def test_filters_keep_range_and_constants(name: str) -> None:
    edges = torch.zeros(1, 3, 40, 40)
    edges[..., 20:] = 255
    resized = resize(edges, 17, name)
    assert resized.shape == (1, 3, 17, 17)
    assert float(resized.min()) >= 0 and float(resized.max()) <= 255
    flat = torch.full((1, 3, 40, 40), 77.0)
    torch.testing.assert_close(resize(flat, 17, name), torch.full((1, 3, 17, 17), 77.0))
    assert resize(flat, 40, name) is flat


def test_an_unknown_filter_is_said() -> None:
    with pytest.raises(UserError, match="resizing=area is not known: choose one of bicubic"):
        EfficientNetLite0(resizing="area")


def test_the_order_of_images_does_not_matter() -> None:
    """A folder gives images sorted by class: the first N of them are no fair sample."""
    generator = torch.Generator().manual_seed(0)
    means = torch.tensor([[0.0] * 8, [4.0] * 8])
    real, made = (
        torch.cat([torch.randn(400, 8, generator=generator) + mean for mean in means])
        for _ in range(2)
    )
    reference = Reference(real, torch.zeros(800), 1, fit_gaussian(real), classifier=torch.eye(8))
    assert abs(measures.fd_infinity(reference, made).value) < 0.3
    in_order, backwards = (measures.inception_score(reference, x) for x in (made, made.flip(0)))
    assert in_order.value == pytest.approx(backwards.value, rel=0.05)


def test_what_has_no_meaning_here_is_left_out_and_said() -> None:
    metric = FeatureComparison(RandomConv(dim=8), ["fd", "memorization", "inception_score"], 8, 8)
    metric.prepare(Photographs(some=images(8)))
    metric.update(Images(images(8)), torch.arange(8))
    assert list(metric.compute()) == list(metric.protocols()) == ["fd_random_conv"]
    assert "validation_fraction" in metric.undefined["memorization"]
    assert "features=inception" in metric.undefined["inception_score"]
