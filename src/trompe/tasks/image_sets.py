"""The sets of images that `trompe evaluate` compares: of any sizes, by path or by name."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from hydra import compose
from hydra.errors import HydraException
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from trompe.command import config_dir
from trompe.data.decoding import LARGEST_SIDE
from trompe.data.image_data import ImageData
from trompe.data.limits import Limits
from trompe.data.picture_folder import FolderSource
from trompe.data.source import Source, tell
from trompe.data.whole_pictures import Shapes, WholePictures, find_shapes
from trompe.errors import UserError, check_count, show
from trompe.parts import make
from trompe.paths import expand
from trompe.words import quoted


class ImageSet(NamedTuple):
    """A set, all of which is the split ``"train"``.

    Attributes:
        data: the images, see `trompe.metrics.reference.ReferenceData`.
        channels: 1 if all pictures are gray, else 3.
        side: of all images, pixels; None if they are of several sizes, or no squares.
        is_changed: whether pictures were cropped or resized.
    """

    data: Any
    channels: int
    side: int | None
    is_changed: bool


class OpenSquares(ImageData):
    """The images of a source that is already open."""

    def __init__(self, source: Source, **common: Any) -> None:
        super().__init__(**common)
        self._source = source
        self.decoding = replace(self.decoding, corrupt_key=None)

    def open_source(self) -> Source:
        """The source."""
        return self._source


def open_images(key: str, spec: str, cfg: DictConfig, side: int | None = None) -> ImageSet:
    """All images of a folder, a zip archive, or a data set named in `conf/data`.

    Args:
        key: the config key, for messages.
        spec: where the images are, or the data set's name.
        cfg: of `trompe evaluate`.
        side: of a named set's images; None: its own.

    Raises:
        UserError: if there is no such thing, or it has fewer than two images, or pictures cannot
            be read.
    """
    if cfg.resolution is not None:
        check_count("resolution", cfg.resolution, most=LARGEST_SIDE)
    if expand(spec, key).exists():
        found = _open_pictures(key, spec, cfg)
    elif (Path(config_dir()) / "data" / f"{spec}.yaml").is_file():
        found = _open_named(key, spec, cfg, cfg.resolution or side)
    else:
        raise UserError(f"{key}={spec} is neither a folder, a zip archive nor a data set")
    if found.data.split_size("train") < 2:
        raise UserError(f"{key}={spec} has fewer than 2 images, which every measure needs")
    return found


def preparation(generated: ImageSet, reference: ImageSet, resolution: int | None) -> str | None:
    """How pictures became the images of a feature network, where they are not all of one size.

    It belongs to the protocol: values of pictures prepared differently cannot be compared.
    """
    sets = (generated, reference)
    told = []
    if any(some.is_changed for some in sets):
        told.append(f"center squares, resized to {resolution} px first, whether larger or smaller")
    elif generated.side is None or generated.side != reference.side:
        told.append("each whole, from its own size to the network's square: its aspect is not kept")
    if generated.channels != reference.channels:
        told.append("gray repeated as color")
    return "; ".join(told) or None


def _open_pictures(key: str, spec: str, cfg: DictConfig) -> ImageSet:
    limits = Limits(cfg.max_pixels, "max_pixels")
    source = FolderSource(spec, cache_dir=cfg.paths.cache_dir, key=key, limits=limits)
    shapes = find_shapes(source)
    side = cfg.resolution or shapes.side
    if side is None:
        tell(source.notes)
        return ImageSet(WholePictures(source), shapes.channels, None, False)
    data = _squares(source, Shapes(side, shapes.channels), cfg)
    return ImageSet(data, shapes.channels, side, side != shapes.side)


def _squares(source: Source, shapes: Shapes, cfg: DictConfig) -> ImageData:
    """The pictures as training would have them, at this resolution."""
    options = {"path": "", "validation_fraction": 0, "max_pixels": cfg.max_pixels}
    config = _compose("folder", options, cfg.paths.cache_dir)
    settings: Any = OmegaConf.to_container(config.data, resolve=True)
    for name in ("_target_", "path", "subfolder"):
        del settings[name]
    settings |= {"resolution": shapes.side, "channels": shapes.channels, "allow_upscale": True}
    data = OpenSquares(source, **settings)
    data.setup()
    return data


def _open_named(key: str, spec: str, cfg: DictConfig, side: int | None) -> ImageSet:
    options: dict[str, Any] = {"validation_fraction": 0}
    if side is not None:
        options["resolution"] = side
    try:
        config = _compose(spec, options, cfg.paths.cache_dir)
    except HydraException as error:  # it has no such options
        raise UserError(
            f"{key}={spec} names no set of images: give another name, or a path"
        ) from error
    kind = get_class(config.data.get("_target_", "builtins.object"))
    if not issubclass(kind, ImageData) or OmegaConf.missing_keys(config.data):
        raise UserError(f"{key}={spec} names no set of images: give another name, or a path")
    data = make(config.data, "data")
    data.setup()
    decoding = data.decoding
    return ImageSet(data, decoding.channels, decoding.resolution, False)


def _compose(data: str, options: Mapping[str, Any], cache_dir: str) -> DictConfig:
    overrides = [f"data.{name}={_as_typed(value)}" for name, value in options.items()]
    return compose("train", [f"data={data}", f"paths.cache_dir={quoted(cache_dir)}", *overrides])


def _as_typed(value: Any) -> str:
    return quoted(value) if isinstance(value, str) else show(value)
