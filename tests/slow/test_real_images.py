"""Metrics on real images: TROMPE_TEST_IMAGES names CIFAR-10 as a folder or zip of class folders."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from trompe.data.picture_folder import ImageFolder
from trompe.methods.capabilities import Images
from trompe.metrics.feature_comparison import FeatureComparison
from trompe.metrics.features import EfficientNetLite0

pytestmark = pytest.mark.slow
MEASURES = ["fd", "kd", "precision", "recall", "density", "coverage"]
COUNT = 1000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageFolder:
    path = os.environ.get("TROMPE_TEST_IMAGES")
    if path is None or not Path(path).exists():
        pytest.skip("TROMPE_TEST_IMAGES names no images")
    options = {"channels": 3, "flip": False, "memory_limit_mb": 2048, "split_seed": 0}
    images = ImageFolder(
        path=path,
        subfolder="auto",
        resolution=32,
        validation_fraction=0.5,
        cache_dir=str(tmp_path_factory.mktemp("cache")),
        **options,
    )
    images.setup()
    return images


@pytest.fixture(scope="module")
def real(data: ImageFolder) -> tuple[Tensor, Tensor]:
    """Other real images than the reference's, and their labels."""
    return tuple(data.gather("validation", shuffled(data)[:COUNT]))  # type: ignore[return-value]


def shuffled(data: ImageFolder) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randperm(data.split_size("validation"), generator=generator)


@pytest.fixture(scope="module")
def measure(data: ImageFolder) -> Callable[[Tensor], dict[str, float]]:
    metric = FeatureComparison(EfficientNetLite0(), MEASURES, COUNT, 2 * COUNT)
    metric.prepare(data)

    def measured(images: Tensor) -> dict[str, float]:
        metric.reset()
        metric.update(Images(images), torch.arange(COUNT))
        return {k.removesuffix("_efflite0"): s.value for k, s in metric.compute().items()}

    return measured


def blur(images: Tensor, strength: float) -> Tensor:
    """Mixed with its mean over 3 x 3."""
    pixels = images.float()
    mean = avg_pool2d(pad(pixels, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return ((1 - strength) * pixels + strength * mean).round().byte()


def noise(images: Tensor, strength: float) -> Tensor:
    """With Gaussian noise of so many gray levels."""
    generator = torch.Generator().manual_seed(1)
    draws = torch.randn(images.shape, generator=generator)
    return (images + strength * draws).round().clamp(0, 255).byte()


def jpeg(images: Tensor, quality: float) -> Tensor:
    """Through JPEG of a quality."""
    through = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=int(quality))
        through.append(torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1))
    return torch.stack(through)


@pytest.mark.parametrize(
    ("distort", "strengths"),
    [(blur, (0.25, 0.5, 1.0)), (noise, (4, 10, 25)), (jpeg, (50, 25, 10))],
)
def test_distances_rise_with_what_spoils_images(
    real: tuple[Tensor, Tensor],
    measure: Callable[[Tensor], dict[str, float]],
    distort: Callable[[Tensor, float], Tensor],
    strengths: tuple[float, ...],
) -> None:
    values = [measure(real[0]), *(measure(distort(real[0], s)) for s in strengths)]
    for name in ("fd", "kd"):
        series = [value[name] for value in values]
        assert series == sorted(series) and series[-1] > 3 * series[1] > 0, (name, series)
    fidelity = [value["precision"] for value in values]
    assert fidelity[-1] < fidelity[0] - 0.1, fidelity


def test_dropped_classes_and_noise_are_told_apart(
    data: ImageFolder, real: tuple[Tensor, Tensor], measure: Callable[[Tensor], dict[str, float]]
) -> None:
    split = shuffled(data)
    labels = data.gather("validation", split).labels
    by_classes = {}
    for classes in (10, 7, 4, 1):
        chosen = split[labels < classes][:COUNT]
        by_classes[classes] = measure(data.gather("validation", chosen).images)
    for name in ("fd", "kd"):
        series = [by_classes[n][name] for n in (10, 7, 4, 1)]
        assert series == sorted(set(series)) and len(series) == 4, (name, series)
    whole, dropped, noisy = by_classes[10], by_classes[1], measure(noise(real[0], 25))
    # Fewer classes leave every image real and much unseen; noise spoils the images themselves.
    assert dropped["recall"] < whole["recall"] - 0.15
    assert dropped["coverage"] < whole["coverage"] - 0.3
    assert abs(dropped["precision"] - whole["precision"]) < 0.15
    assert noisy["precision"] < whole["precision"] - 0.3
    assert noisy["density"] < 0.5 * whole["density"]
