"""What a trained method can do. Commands and metrics ask for these, never for a class or a name.

Inputs and outputs are named tuples of tensors, with one row for each image.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from trompe.engine.randomness import keyed_generator
from trompe.images import to_uint8

Rows = TypeVar("Rows", bound=tuple[Any, ...])
# The values that an option may take; empty: any.
Options = Mapping[str, Sequence[Any]]

_AT_ONCE = 64  # images of a sample grid that are made at once
_MOST_ROWS = 10  # classes in a sample grid


class Images(NamedTuple):
    """Generated images (N, C, H, W) in [-1, 1]."""

    images: Tensor


class Latents(NamedTuple):
    """Latents (N, *latent_shape), standard normal."""

    latents: Tensor


class LabeledLatents(NamedTuple):
    """Latents (N, *latent_shape), standard normal, and the labels (N,), int64, of their images."""

    latents: Tensor
    labels: Tensor


class Shows(ABC):
    """Has something to look at, again and again during training."""

    @abstractmethod
    def draw_grid(self, data: Any, count: int) -> tuple[Tensor, int | None]:
        """Images uint8 (about `count`, C, H, W) that show what it does, and how many in a row."""


class Generates(Shows):
    """Makes images that can be measured.

    Attributes:
        inputs_type: the named tuple that images are made from.
        outputs_type: the named tuple made from them; its first field is `images`.
    """

    inputs_type: type
    outputs_type: type = Images

    @abstractmethod
    def draw_inputs(self, data: Any, count: int, purpose: str) -> Any:
        """What `count` images are made from, on the CPU; depends on data, seed and purpose.

        Args:
            data: the datamodule.
            count: of images.
            purpose: names the draw.
        """

    @abstractmethod
    def generate(self, inputs: Any) -> Any:
        """The averaged weights' images, in [-1, 1], for inputs on this device."""


class Restores(Shows):
    """Restores the one picture of its data: `trompe restore`."""

    @abstractmethod
    def versions(self) -> Mapping[str, tuple[int, Tensor]]:
        """Pictures (1, C, H, W) in [0, 1], each with the number of iterations behind it.

        ``last`` is always there. ``stopped`` is where the method would have stopped without knowing
        the good picture, ``peak`` the nearest to the good one, which nobody could know without it.
        """


class FromLatents(Generates):
    """Makes images from latents: `trompe sample`.

    Attributes:
        latent_shape: of one image's latent.
        classes: of the labels that images are made for; with 0 there are none, and inputs are
            `Latents`, otherwise `LabeledLatents`.
        layers_of_styles: how many styles an image takes, from coarse to fine; 0: it has none.
    """

    inputs_type: type = Latents
    latent_shape: tuple[int, ...]
    classes: int = 0
    layers_of_styles: int = 0
    seed: int
    device: Any

    @property
    def options(self) -> Options:
        """Keyword arguments of `sample`, with their allowed values."""
        return {}

    @abstractmethod
    def sample(self, inputs: Latents | LabeledLatents, **options: Any) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] of the averaged weights, in evaluation mode."""

    def codes(self, inputs: Latents | LabeledLatents, **options: Any) -> Tensor:
        """What images are made from and walks go through: latents, or what is made of them."""
        return inputs.latents

    def from_codes(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images of `codes` (N, ...), as `sample`."""
        given = Latents(codes) if labels is None else LabeledLatents(codes, labels)
        return self.sample(given)

    def between(self, a: Tensor, b: Tensor, part: float) -> Tensor:
        """The code at `part` in [0, 1] of the way from one to another."""
        return slerp(a, b, part)

    def draw_inputs(self, data: Any, count: int, purpose: str) -> Latents | LabeledLatents:
        """Latents by the experiment's seed, labels of training images chosen by it."""
        generator = keyed_generator(self.seed, purpose)
        latents = torch.randn((count, *self.latent_shape), generator=generator)
        if not self.classes:
            return Latents(latents)
        labels = data.labels("train")
        generator = keyed_generator(self.seed, f"{purpose}/labels")
        chosen = torch.randint(len(labels), (count,), generator=generator)
        return LabeledLatents(latents, labels[chosen])

    def generate(self, inputs: Latents | LabeledLatents) -> Images:
        """See `Generates`."""
        return Images(self.sample(inputs))

    def draw_grid(self, data: Any, count: int) -> tuple[Tensor, int | None]:
        """Images of the same latents every time.

        With classes, a row for each of the first ten, made from the same latents in each.
        """
        rows, columns = self.grid_shape(count)
        latents = self.draw_inputs(data, columns, "sample grid").latents
        inputs = by_class(latents, range(rows)) if rows else Latents(latents)
        parts = torch.arange(len(inputs.latents)).split(_AT_ONCE)
        made = [to_uint8(self.sample(on(self.device, take(inputs, i)))).cpu() for i in parts]
        return torch.cat(made), columns if rows else None

    def grid_shape(self, count: int) -> tuple[int, int]:
        """Classes and columns of a grid of `count` images; 0 classes if there are none."""
        rows = min(self.classes, _MOST_ROWS, count)
        return rows, count // rows if rows else count


def slerp(a: Tensor, b: Tensor, part: float) -> Tensor:
    """The point at `part` in [0, 1] on the great circle between latents (White 2016, sec. 2.1).

    A straight line would pass through lengths that a normal latent hardly ever has.
    """
    cosine = torch.dot((a / a.norm()).flatten(), (b / b.norm()).flatten()).clamp(-1, 1)
    angle = torch.arccos(cosine)
    if angle.abs() < 1e-6:
        return torch.lerp(a, b, part)
    return (torch.sin((1 - part) * angle) * a + torch.sin(part * angle) * b) / torch.sin(angle)


def by_class(latents: Tensor, labels: Sequence[int]) -> LabeledLatents:
    """A row for each label, in which each latent (N, ...) has its column, row after row."""
    repeated = latents.repeat(len(labels), *[1] * (latents.dim() - 1))
    return LabeledLatents(repeated, torch.tensor(labels).repeat_interleave(len(latents)))


class FromPictures(ABC):
    """Makes pictures from pictures, of any size: `trompe stylize`.

    Attributes:
        takes_style: whether it takes any style; otherwise there is one, or none.
        multiple: the sides that `render` takes are multiples of it.
    """

    takes_style: bool = False
    multiple: int = 1

    @property
    def options(self) -> Options:
        """Keyword arguments of `render`, with their allowed values."""
        return {}

    def describe(self, style: Tensor) -> Tensor:
        """A style (1, S) from its picture; weighted means of styles are styles too.

        Raises:
            NotImplementedError: if it takes no style.
        """
        raise NotImplementedError

    @abstractmethod
    def render(
        self,
        picture: Tensor,
        style: Tensor | None = None,
        strength: float = 1.0,
        tile: int | None = None,
        held: Any = None,
        **options: Any,
    ) -> Tensor:
        """The picture (1, 3, H, W) in [-1, 1] made from a picture of that form.

        Args:
            picture: its sides are multiples of `multiple`.
            style: (1, S), of `describe`; None if it takes none.
            strength: 0 is the picture itself, 1 the full effect.
            tile: side of the tiles in which it is made; None: whole.
            held: what `hold` gave, for a frame of an animation.
            options: see `options`.
        """

    def hold(
        self, frames: Iterable[Tensor], style: Tensor | None, strength: float, **options: Any
    ) -> Any:
        """What is measured of a content and should be the same in all frames of an animation.

        Args:
            frames: some of its frames, (1, 3, H, W) in [-1, 1].
            style: as in `render`.
            strength: as in `render`.
            options: as in `render`.

        Returns:
            something for `render`; None if nothing is measured.
        """
        return None

    def tile_memory(self, height: int, width: int, tile: int) -> int | None:
        """About how many bytes a picture takes in tiles; None if it cannot be made in tiles."""
        return None


class Enlarges(ABC):
    """Makes pictures with more pixels, of any size: `trompe restore task=upscale run=`.

    Attributes:
        factor: times more pixels along each side.
    """

    factor: int

    @property
    def options(self) -> Options:
        """None."""
        return {}

    @abstractmethod
    def enlarge(self, picture: Tensor, tile: int | None = None) -> Tensor:
        """A picture (1, C, H, W) in [-1, 1] as (1, C, factor H, factor W).

        Args:
            picture: of the channels that it was trained on.
            tile: side of the tiles in which it is made, pixels of the small picture; None: whole.
        """

    @abstractmethod
    def memory(self, height: int, width: int | None = None) -> int:
        """About how many bytes a picture takes whole; without a width, a tile of that side."""


def take(inputs: Rows, rows: Tensor | slice) -> Rows:
    """Some rows of a named tuple of tensors."""
    return type(inputs)(*(tensor[rows] for tensor in inputs))


def on(device: torch.device | str, inputs: Rows) -> Rows:
    """A named tuple of tensors on a device."""
    return type(inputs)(*(tensor.to(device) for tensor in inputs))
