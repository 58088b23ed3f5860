"""Grids of the same images, drawn again and again while a method learns."""

from pathlib import Path
from typing import Any

from trompe.data.image_data import show_classes
from trompe.errors import check_count, check_positive
from trompe.images import save_grid
from trompe.methods.capabilities import FromLatents, Shows


class SampleGrid:
    """Draws `samples/<kimg>.png` in the run folder.

    `samples/real.png` shows images of the data beside them.

    Args:
        every_kimg: thousands of images between two grids; the beginning and the first tick also
            have one.
        count: images in a grid.

    Raises:
        UserError: if one of them is not above 0.
    """

    def __init__(self, every_kimg: float, count: int) -> None:
        check_positive("samples.every_kimg", every_kimg)
        check_count("samples.count", count, most=65536)
        self.every_kimg = every_kimg
        self.count = count

    def check(self, method: Any, data: Any) -> None:
        """Refuse images that the method or the data cannot make, before training begins.

        Raises:
            UserError: as the method and the data say it.
        """
        if isinstance(method, Shows):
            method.draw_grid(data, 1)

    def draw_real(self, method: Any, data: Any, folder: Path) -> None:
        """Draw what the data have to show, once; classes in rows, as in the method's grids."""
        path = folder / "samples" / "real.png"
        if path.exists():
            return
        rows, columns = 0, self.count
        if isinstance(method, FromLatents):
            rows, columns = method.grid_shape(self.count)
        images = show_classes(data, rows, columns) if rows else data.show(self.count)
        if images is not None:
            save_grid(images, path, columns if rows else None)

    def draw(self, method: Any, data: Any, folder: Path) -> Path | None:
        """Draw a grid; None if the method makes no images."""
        if not isinstance(method, Shows):
            return None
        images, columns = method.draw_grid(data, self.count)
        path = folder / "samples" / f"{method.clock.kimg:09.3f}.png"  # type: ignore[attr-defined]
        save_grid(images, path, columns)
        return path
