"""Content and style sets of plain pictures, each of a level of gray that says which it is."""

from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from trompe.data.content_style import ContentStyleData


def plain(folder: Path, count: int, size: tuple[int, int] = (48, 32), first: int = 0) -> Path:
    """Pictures of one level of gray each, which says which of them it is."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + count):
        Image.new("RGB", size, (i, i, i)).save(folder / f"{i:03}.png")
    return folder


def levels(images: Tensor) -> list[int]:
    """Which pictures these are crops of; fails if one is of several."""
    flat = images.flatten(1)
    assert (flat == flat[:, :1]).all()
    return flat[:, 0].tolist()


def maker(tmp_path: Path) -> Any:
    """Makes data of 10 content pictures, levels 0 to 9, and 6 of style, 100 to 105."""

    def make(**changes: Any) -> ContentStyleData:
        parameters: dict[str, Any] = {
            "content": str(tmp_path / "photos"),
            "style": str(tmp_path / "paintings"),
            "resolution": 16,
            "source_resolution": 32,
            "crop_min": 0.25,
            "content_squares": 3,
            "style_squares": 2,
            "validation_fraction": 0.2,
            "split_seed": 0,
            "flip": True,
            "cache_dir": str(tmp_path / "cache"),
            "memory_limit_mb": 16,
        }
        return ContentStyleData(**(parameters | changes))

    plain(tmp_path / "photos", 10)
    plain(tmp_path / "paintings", 6, first=100)
    return make
