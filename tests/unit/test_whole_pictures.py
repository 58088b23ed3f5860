"""Pictures of many sizes before a feature network: a few at a time, each resized as a whole."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.unit.test_cache import Arrays, noise
from trompe.data.picture_folder import FolderSource
from trompe.data.whole_pictures import OneByOne, Shapes, WholePictures, find_shapes
from trompe.metrics.features import RandomConv


def test_only_a_few_are_in_memory_at_once() -> None:
    read: list[int] = []
    pictures = OneByOne(Arrays(noise(1000), read.append), torch.arange(1000))
    assert len(pictures) == 1000 and next(iter(pictures)).shape == (3, 8, 8)
    assert len(read) <= (os.cpu_count() or 1)


def test_features_do_not_depend_on_how_images_are_given() -> None:
    features, pictures = RandomConv(), noise(70, 40, 40)
    together = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    data = WholePictures(Arrays(pictures))
    one_by_one = data.gather("train", torch.arange(70)).images
    torch.testing.assert_close(features(one_by_one), features(together))


@pytest.mark.parametrize(
    ("pictures", "shapes"),
    [
        ([("RGB", (8, 8)), ("RGB", (8, 8))], Shapes(8, 3)),
        ([("L", (8, 8)), ("1", (8, 8))], Shapes(8, 1)),
        ([("L", (8, 8)), ("RGB", (8, 8))], Shapes(8, 3)),
        ([("RGB", (8, 6)), ("RGB", (8, 6))], Shapes(None, 3)),
        ([("L", (8, 8)), ("L", (6, 6))], Shapes(None, 1)),
    ],
)
def test_what_pictures_have_in_common(tmp_path: Path, pictures: list, shapes: Shapes) -> None:
    for i, (mode, size) in enumerate(pictures):
        Image.new(mode, size).save(tmp_path / f"{i}.png")
    assert find_shapes(FolderSource(tmp_path)) == shapes
