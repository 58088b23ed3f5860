"""Patches of world maps: places that never meet, counterparts that fit, one line for a mistake."""

import gc
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import get_class
from omegaconf import OmegaConf
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from trompe.command import config_dir
from trompe.data.loader import TickLoader
from trompe.data.map_layout import HEIGHT, WIDTH, Layout
from trompe.data.maps import Maps, MapSource, find_land, map_file, read_map
from trompe.data.unpaired import UnpairedBatch, UnpairedData
from trompe.engine.clock import Clock
from trompe.errors import UserError


def configured(folder: Path, *overrides: str) -> Maps:
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("train", ["data=maps", f"paths.cache_dir={folder}", *overrides, "name=test"])
    parameters = OmegaConf.to_container(cfg.data, resolve=True)
    assert isinstance(parameters, dict) and get_class(parameters.pop("_target_")) is Maps
    return Maps(**parameters)  # type: ignore[misc]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("maps")


@pytest.fixture(scope="module")
def maps(cache: Path) -> Maps:
    """As configured, but fewer: one patch in 25."""
    return configured(cache, "data.stride=60", "data.resolution=32")


@pytest.fixture(scope="module")
def land() -> np.ndarray:
    return find_land(map_file("etopo1"))


def layout(**changes: Any) -> Layout:
    parameters: dict[str, Any] = {
        "patch_size": 128,
        "stride": 16,
        "latitudes": (-60, 60),
        "held_out": (10, 40),
        "strips": 20,
        "min_land": 0.5,
    }
    return Layout(**(parameters | changes))


def longitudes(corners: np.ndarray, size: int) -> set[int]:
    """All columns of the map that the patches show."""
    return {(left + i) % WIDTH for left in set(corners[:, 1].tolist()) for i in range(size)}


@pytest.mark.parametrize(
    "changes", [{}, {"held_out": (-180, -100), "strips": 2}, {"held_out": (150, 180), "stride": 7}]
)
def test_no_place_is_in_two_parts(changes: dict[str, Any]) -> None:
    places = layout(**changes).places(np.ones((HEIGHT, WIDTH), dtype=bool))
    shown = [longitudes(corners, 128) for corners in places]
    for i, some in enumerate(shown):
        # 16 pixels lie between any two parts, across the date line too.
        grown = {(column + offset) % WIDTH for column in some for offset in range(-15, 16)}
        for others in shown[i + 1 :]:
            assert not grown & others
    west, east = changes.get("held_out", (10, 40))
    middle = (places.held_out[:, 1] + 64) / 15 - 180
    assert west < middle.min() and middle.max() < east
    for corners in places:
        assert len({tuple(corner) for corner in corners.tolist()}) == len(corners)
        assert corners[:, 0].min() == 450 and 2250 - 128 - 16 < corners[:, 0].max() <= 2250 - 128
    assert 0.9 < len(places.a) / len(places.b) < 1.1


def test_patches_hold_enough_land() -> None:
    land = np.zeros((HEIGHT, WIDTH), dtype=bool)
    land[1000:1300, :] = True
    land[:, :100] = True  # at the date line, where a patch wraps around
    made = layout(min_land=0.75, held_out=(-90, -60), strips=2)
    found = {tuple(corner) for part in made.places(land) for corner in part.tolist()}
    everywhere = layout(min_land=0, held_out=(-90, -60), strips=2)
    everything = np.concatenate(everywhere.places(land))
    wrapped = np.concatenate([land, land], 1)
    for top, left in everything[::37].tolist():
        share = wrapped[top : top + 128, left : left + 128].mean()
        assert ((top, left) in found) == (share >= 0.75)
    assert len(found) < len(everything) and any(left > WIDTH - 128 for _, left in found)


def test_land_is_found_on_the_relief_map(land: np.ndarray) -> None:
    def at(latitude: float, longitude: float) -> bool:
        return bool(land[round((90 - latitude) * 15), round((180 + longitude) * 15)])

    on_land = {
        "Sahara": (23, 10),
        "Congo": (0, 22),
        "Tibet": (33, 88),
        "Altiplano": (-18, -68),
        "Mont Blanc": (45.8, 6.9),
        "Amazon": (-5, -63),
        "Caspian depression": (47, 48),
        "Sumatra": (1, 100),
        "Australia": (-25, 134),
        "Siberia": (60, 90),
        "Greenland's ice": (72, -40),
    }
    at_sea = {
        "Atlantic": (30, -45),
        "North Sea": (56, 3),
        "Mediterranean": (34, 19),
        "Persian Gulf": (27, 51),
        "Java Sea": (-5, 110),
        "Gulf of Carpentaria": (-14, 139),
        "Mariana Trench": (11, 142),
        "Arctic": (85, 0),
    }
    assert [name for name, place in on_land.items() if not at(*place)] == []
    assert [name for name, place in at_sea.items() if at(*place)] == []
    # Of the whole earth, 29 % is land.
    weights = np.cos(np.radians(90 - (np.arange(HEIGHT) + 0.5) / 15))
    assert np.average(land.mean(1), weights=weights) == pytest.approx(0.29, abs=0.015)


def test_counterparts_show_the_same_place(maps: Maps, cache: Path, land: np.ndarray) -> None:
    assert isinstance(maps, UnpairedData) and maps.has_counterparts
    count = maps.split_size("validation")
    assert count == maps.a.split_size("validation") == len(maps.places.held_out) > 80
    pairs = maps.pairs("validation", count)
    assert isinstance(pairs, UnpairedBatch) and pairs.a.shape == pairs.b.shape
    size = maps.layout.patch_size
    masks = torch.stack(
        [
            adaptive_avg_pool2d(
                torch.from_numpy(land[t : t + size, x : x + size]).float()[None], 32
            )
            for t, x in maps.places.held_out.tolist()
        ]
    )
    coast = (masks.flatten(1).mean(1) < 0.9).nonzero().flatten()
    assert len(coast) > 20
    # On both maps, land has more red than blue, and sea less.
    satellite, relief = (side[:, 0].float() - side[:, 2].float() for side in pairs)
    fits = correlation(satellite[coast], relief[coast])
    shuffled = correlation(satellite[coast], relief[coast.roll(1)])
    shifted = correlation(satellite[coast][..., 4:], relief[coast][..., :-4])
    assert fits.mean() > 0.75 and fits.quantile(0.1) > 0.5
    assert shuffled.mean() < 0.35
    assert shifted.mean() < fits.mean() - 0.1
    for side in (satellite, relief):
        assert correlation(side[coast], masks[coast].float()).mean() > 0.75


def correlation(x: Tensor, y: Tensor) -> Tensor:
    """Of two images (n, H, W) over their pixels: (n,)."""
    x, y = (part.flatten(1) - part.flatten(1).mean(1, keepdim=True) for part in (x, y))
    return (x * y).mean(1) / (x.square().mean(1) * y.square().mean(1)).sqrt().clamp(min=1e-6)


def test_images_are_the_pixels_of_their_places(cache: Path) -> None:
    exact = configured(cache, "data.stride=128", "data.resolution=128", "data.b=bmng")
    pixels = np.asarray(read_map(map_file("bmng")))
    sides = {"a": (exact.a, exact.places.a), "b": (exact.b, exact.places.b)}
    for side, places in sides.values():
        images = side.gather("train", torch.arange(len(places))).images
        for (top, left), image in zip(places.tolist()[::9], images[::9], strict=True):
            patch = pixels[top : top + 128].take(range(left, left + 128), 1, mode="wrap")
            assert np.array_equal(image.permute(1, 2, 0).numpy(), patch)
    pairs = exact.pairs("validation", 10)
    assert torch.equal(pairs.a, pairs.b)


def test_the_first_pairs_lie_all_over_the_held_out_band(maps: Maps) -> None:
    first = maps.places.held_out[:24]
    everything = maps.places.held_out
    for axis in (0, 1):
        assert np.ptp(first[:, axis]) > 0.7 * np.ptp(everything[:, axis])


def test_shares_make_up_the_batch(maps: Maps) -> None:
    stream = maps.stream(0, 6)
    whole = stream.batch(18, slice(None))
    parts = [stream.batch(18, slice(i, i + 2)) for i in (0, 2, 4)]
    assert all(
        torch.equal(x, torch.cat(y)) for x, y in zip(whole, zip(*parts, strict=True), strict=True)
    )
    first = next(iter(TickLoader(maps, Clock(1, 0.006, 6), seed=0)))
    assert first.a.shape == first.b.shape == (6, 3, 32, 32)


def test_no_map_stays_in_memory_or_is_decoded_twice(
    maps: Maps, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprint = maps.fingerprint
    assert not any(type(thing) is MapSource for thing in gc.get_objects())
    monkeypatch.setattr(MapSource, "read", None)
    again = configured(cache, "data.stride=60", "data.resolution=32")
    assert again.fingerprint == fingerprint
    assert torch.equal(again.pairs("train", 5).b, maps.pairs("train", 5).b)


def test_fingerprints_follow_maps_and_places(maps: Maps, cache: Path) -> None:
    def prints(*changes: str) -> tuple[str, ...]:
        data = configured(cache, "data.stride=60", *changes)
        return tuple(side.pictures.open_source().fingerprint() for side in (data.a, data.b))

    base = prints()
    assert maps.a.fingerprint != maps.b.fingerprint != maps.fingerprint
    places = ["held_out=[10,41]", "strips=10", "patch_size=100", "min_land=0.9", "stride=61"]
    changed = [prints(f"data.{change}") for change in places]
    assert len({base, *changed}) == 6
    for a, b in changed:
        assert a != base[0] and b != base[1]
    other = prints("data.b=etopo1")
    assert other[0] == base[0] and other[1] != base[1]
    assert maps.class_names == ["shadedrelief"]


def test_larger_maps_are_reduced(tmp_path: Path) -> None:
    file = tmp_path / "large.png"
    Image.new("RGB", (WIDTH + 600, HEIGHT + 300), (9, 99, 200)).save(file, compress_level=1)
    small = read_map(file)
    assert small.size == (WIDTH, HEIGHT) and small.getextrema() == ((9, 9), (99, 99), (200, 200))
    assert read_map(map_file("shadedrelief")).size == (WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"patch_size": 0}, r"data\.patch_size=0"),
        ({"stride": 0}, r"data\.stride=0"),
        ({"strips": 3}, r"data\.strips=3 must be even"),
        ({"strips": 0}, r"data\.strips=0"),
        ({"min_land": 1.5}, r"data\.min_land=1\.5"),
        ({"latitudes": (60, -60)}, r"data\.latitudes=\(60, -60\)"),
        ({"latitudes": (-91, 60)}, r"data\.latitudes"),
        ({"held_out": (170, 190)}, r"data\.held_out"),
        ({"held_out": (1, 2, 3)}, r"data\.held_out"),
        ({"held_out": 3}, r"data\.held_out"),
        ({"patch_size": 300}, r"data\.patch_size=300 is too large.* 231 pixels"),
        ({"latitudes": (0, 5)}, r"data\.patch_size=128 is too large.* 75 pixels"),
    ],
)
def test_wrong_layouts_are_refused_in_one_line(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        layout(**changes)
    assert "\n" not in str(caught.value)


def test_a_world_without_land_is_refused() -> None:
    with pytest.raises(UserError, match=r"data\.min_land=0\.5: no patch of 128 pixels .* data\.a"):
        layout().places(np.zeros((HEIGHT, WIDTH), dtype=bool))


def test_unknown_maps_and_sizes_are_refused(cache: Path) -> None:
    with pytest.raises(UserError, match=r"data\.b=mars is not one of the maps: bmng, etopo1"):
        configured(cache, "data.b=mars")
    with pytest.raises(UserError, match=r"data\.resolution=64 .* data\.source_resolution=32"):
        configured(cache, "data.source_resolution=32")
    with pytest.raises(UserError, match=r"smaller than 256 pixels"):
        configured(cache, "data.resolution=256", "data.stride=200").setup()


def test_a_missing_package_is_one_line(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'trompe\[maps\]'") as caught:
        configured(cache)
    assert "\n" not in str(caught.value)
