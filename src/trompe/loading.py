"""Runs in Python and in notebooks: `trompe.load`."""

import functools
import io
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from trompe import extras
from trompe.data.conversion import convert
from trompe.errors import UserError
from trompe.images import make_grid, to_picture, to_uint8
from trompe.methods.capabilities import FromLatents
from trompe.methods.labels import choose_labels, class_names
from trompe.methods.trained import find_checkpoint, load_method
from trompe.methods.usage import require
from trompe.runs.naming import find_run
from trompe.runs.run_folder import RunFolder
from trompe.stylizers.feed_forward import FeedForward
from trompe.stylizers.picture_files import as_tensor, read
from trompe.stylizers.stylizer import check_strength, check_style
from trompe.stylizers.trained import Embedded, Trained
from trompe.tasks.sample import generate, inputs_of, latent

if TYPE_CHECKING:
    import pandas

# A notebook need not have widgets: nothing here draws a progress bar.
warnings.filterwarnings("ignore", "IProgress not found")

_STYLE_SIDE = 256  # pixels of the shorter side, as conf/stylize.yaml
PictureLike = str | Path | Image.Image | np.ndarray


class Pictures(Sequence[Image.Image]):
    """Pictures of one size; a notebook shows them as a grid.

    Args:
        images: uint8 (N, C, H, W), C 1 or 3.
        columns: of the grid; None: about as many as rows.

    Attributes:
        images: the same.
    """

    def __init__(self, images: Tensor, columns: int | None = None) -> None:
        self.images = images
        self._columns = columns

    def __repr__(self) -> str:
        _, _, height, width = self.images.shape
        return f"<{len(self)} pictures of {width} x {height} pixels>"

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Pictures(self.images[index])
        return to_picture(self.images[index])

    def __iter__(self) -> Iterator[Image.Image]:
        return (to_picture(image) for image in self.images)

    def grid(self, columns: int | None = None) -> Image.Image:
        """All of them, row by row; as many columns as it was made with, unless `columns` says."""
        return to_picture(make_grid(self.images, columns or self._columns))

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        file = io.BytesIO()
        self.grid().save(file, "PNG")
        return file.getvalue()


class Run:
    """A trained run, for reading and for making images; nothing in its folder is changed.

    Args:
        folder: of the run.
        checkpoint: ``best``, which falls back to the last where there is none, or ``last``.
        trust: whether the folder may name code of its own.
    """

    def __init__(self, folder: RunFolder, checkpoint: str = "best", trust: bool = False) -> None:
        self.folder = folder
        self.checkpoint = checkpoint
        self.trust = trust

    def __repr__(self) -> str:
        facts = self.facts
        return f"<run {self.path.name}: {facts.get('status')}, {facts.get('kimg')} kimg>"

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.folder.path

    @property
    def facts(self) -> dict[str, Any]:
        """run.json as it is now: status, kimg, versions, hardware, protocols and so on."""
        return self.folder.read_facts()

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved config."""
        return self.folder.read_config()

    def metrics(self) -> "pandas.DataFrame":
        """One row for each tick, with ``kimg`` as the index; what a tick did not measure is NaN.

        Raises:
            UserError: if pandas is not installed.
        """
        extras.require("pandas", "run.metrics()")
        import pandas

        rows = list(self.folder.iterate_metrics())
        return pandas.DataFrame(rows).set_index("kimg") if rows else pandas.DataFrame()

    @cached_property
    def method(self) -> Any:
        """The trained method: its averaged generator is used, in evaluation mode."""
        found, _ = find_checkpoint(self.folder, self.checkpoint)
        return load_method(self.folder, found, self.trust)

    @property
    def class_names(self) -> list[str]:
        """The classes that a conditional run makes images of; empty for any other."""
        return class_names(self.method, self.facts)

    def sample(
        self,
        seeds: Iterable[int] = range(16),
        batch_size: int = 64,
        label: str | int | Sequence[str | int] | None = None,
    ) -> Pictures:
        """Images from latents; a seed gives the same one as `trompe sample`.

        Args:
            seeds: one for each image, or of a conditional run for each image of a class.
            batch_size: images at once.
            label: of a conditional run: classes by name or number, a row of the grid for each;
                None: all of them, 32 at most.

        Raises:
            UserError: if the run does not make images from latents, or there are no seeds or no
                such class.
        """
        require(self.method, "sample", self.path)
        assert isinstance(self.method, FromLatents)
        if not (numbers := list(seeds)):
            raise UserError("no images are requested: seeds is empty")
        labels = choose_labels(label, self.class_names, self.path)
        latents = torch.stack([latent(seed, self.method.latent_shape) for seed in numbers])
        images = generate(self.method, inputs_of(latents, labels), batch_size)
        return Pictures(images, len(numbers) if len(labels) > 1 else None)

    @cached_property
    def _stylizer(self) -> FeedForward:
        return Trained(
            str(self.path), self.checkpoint, trust=self.trust, tile=None, memory_gib=None
        )

    def stylize(
        self, content: PictureLike, style: PictureLike | None = None, strength: float = 1.0
    ) -> Image.Image:
        """A picture with the content of one and the style of another, as `trompe stylize`.

        Args:
            content: a file, a Pillow image, or an array uint8 (H, W, 3).
            style: the same; None for a run that knows only one.
            strength: 0 is the content itself, 1 the full style.

        Raises:
            UserError: if the run makes no pictures from pictures, or a style is missing or of no
                use.
        """
        return _stylize(self._stylizer, content, style, strength)


def load(
    name: str | Path = "latest",
    checkpoint: str = "best",
    output_dir: str = "outputs",
    trust: bool = False,
) -> Run:
    """A run by its folder, its id, ``latest`` or ``best``.

    Args:
        name: see `trompe.runs.naming.find_run`.
        checkpoint: ``best`` or ``last``.
        output_dir: below which runs are looked for.
        trust: whether the folder may name code of its own, which runs then.

    Raises:
        UserError: if there is no such run.
    """
    return Run(find_run(str(name), output_dir), checkpoint, trust)


def stylize(content: PictureLike, style: PictureLike, strength: float = 1.0) -> Image.Image:
    """A picture with the content of one and the style of another, by the embedded stylizer.

    See `Run.stylize`.
    """
    return _stylize(_embedded(), content, style, strength)


@functools.cache
def _embedded() -> FeedForward:
    return Embedded(tile=None, memory_gib=None)


def _stylize(
    stylizer: FeedForward, content: PictureLike, style: PictureLike | None, strength: float
) -> Image.Image:
    """See `Run.stylize`."""
    check_style(stylizer, style)
    check_strength(strength)
    device = stylizer.device
    code = None
    if style is not None:
        code = stylizer.describe(_tensor("style", style, _STYLE_SIDE).to(device))
    made = stylizer.render(_tensor("content", content, None).to(device), code, strength)
    return to_picture(to_uint8(made)[0].cpu())


def _tensor(key: str, picture: PictureLike, size: float | None) -> Tensor:
    """(1, 3, H, W) in [-1, 1], read as `trompe stylize` reads files."""
    if isinstance(picture, str | Path):
        return read(key, Path(picture).expanduser(), size)
    opened = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    return as_tensor(key, f"<{type(picture).__name__}>", convert(opened, "RGB"), size)
