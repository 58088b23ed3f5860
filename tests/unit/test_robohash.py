"""Drawings of known factors: what is asked for is what is drawn, each once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_class
from omegaconf import OmegaConf

from trompe.command import config_dir
from trompe.data.robohash import SETS, Parts, Robohash, RobohashSource, choose
from trompe.errors import UserError


def configured(folder: Path, *overrides: str) -> Robohash:
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("train", ["data=robohash", f"paths.cache_dir={folder}", *overrides])
    parameters = OmegaConf.to_container(cfg.data, resolve=True)
    assert isinstance(parameters, dict) and get_class(parameters.pop("_target_")) is Robohash
    return Robohash(**parameters)  # type: ignore[misc]


def source(set: str = "cats", size: int = 50, seed: int = 0, **more: Any) -> RobohashSource:
    return RobohashSource(Parts(set), size, seed, more.get("label"), more.get("side", 32))


@pytest.mark.parametrize(
    ("set", "combinations", "label"),
    [
        ("cats", 360_000, "body"),
        ("robots", 1_000_000, "color"),
        ("monsters", 16_000_000, "facecolors"),
        ("heads", 12_830_400, "baseface"),
        ("people", 7 * 12**3 * 243 * 56 * 365 * 19, "body"),
    ],
)
def test_sets_have_their_factors(set: str, combinations: int, label: str) -> None:
    parts = Parts(set)
    assert parts.combinations == combinations
    found = source(set)
    assert found.class_names == [f"{label} {value}" for value in parts.factors[label]]
    assert len(found) == 50 and found.labels.max() < len(found.class_names)
    factors = found.factors(7)
    assert factors.keys() == parts.factors.keys()
    assert f"{label} {factors[label]}" == found.class_names[found.labels[7]]


@pytest.mark.parametrize("set", [name for name in SETS if name != "people"])
def test_parts_are_in_the_picture(set: str) -> None:
    image = source(set, side=32).read(0)
    assert image.shape == (32, 32, 3) and image.dtype == np.uint8
    assert (image[0, 0] == 255).all() and image.std() > 30


def test_images_are_different_and_a_small_set_begins_a_large_one() -> None:
    small, large = source(size=20), source(size=40)
    images = [large.read(i) for i in range(20)]
    assert all((small.read(i) == image).all() for i, image in enumerate(images))
    shown = {tuple(large.factors(i).items()) for i in range(40)}
    assert len(shown) == 40
    assert any((source(seed=1).read(i) != images[i]).any() for i in range(5))


def test_what_differs_in_one_factor_differs_where_that_part_is() -> None:
    """Two robots of other colors are the same shape: white stays white."""
    found = source("robots", size=400)
    shapes: dict[tuple[str, ...], list[int]] = {}
    for i in range(400):
        key = tuple(v for k, v in found.factors(i).items() if k in ("body", "face", "accessory"))
        shapes.setdefault(key, []).append(i)
    first, second = next(pair for pair in shapes.values() if len(pair) > 1)[:2]
    blank = [(found.read(i) > 250).all(2) for i in (first, second)]
    assert (blank[0] == blank[1]).mean() > 0.9


def test_every_combination_once() -> None:
    assert sorted(choose(500, 500, 3)) == list(range(500))


def test_the_fingerprint_is_of_what_is_drawn() -> None:
    assert source().fingerprint() == source().fingerprint()
    others = [source(seed=1), source(size=49), source(side=16), source(label="eyes")]
    assert len({other.fingerprint() for other in [source(), *others]}) == 5


def test_as_configured(tmp_path: Path) -> None:
    data = configured(tmp_path, "data.size=40", "data.resolution=16", "data.set=robots")
    data.setup("fit")
    assert data.split_size("train") == 36 and data.split_size("validation") == 4
    assert set(data.factors(0)) == {"color", "mouth", "eyes", "accessory", "body", "face"}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.set=robot", "data.set=robot is not one of .*: did you mean robots"),
        ("data.label=eye", "data.label=eye is not one of .*: did you mean eyes"),
        ("data.set=dogs", "data.set=dogs is not one of robots, monsters, heads, cats, people"),
        ("data.size=0", "data.size=0 must be between 1 and 360000"),
        ("data.size=360001", "no more different cats"),
        ("data.label=hat", "data.label=hat is not one of body, fur, eyes, mouth, accessories"),
    ],
)
def test_mistakes(tmp_path: Path, override: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        configured(tmp_path, override)


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'trompe\[demo\]'"):
        configured(tmp_path)
