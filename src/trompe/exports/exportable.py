"""A trained method as a plain module: tensors in, images out, for any capability that makes them.

Everything is float32, on the CPU, with the averaged weights in evaluation mode.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from trompe.errors import UserError
from trompe.methods.capabilities import FromLatents, FromPictures, LabeledLatents, Latents
from trompe.methods.method import Method
from trompe.methods.usage import does_not_work
from trompe.networks.edges import cut_edges, repeat_edges
from trompe.networks.perceptual_network import MINIMUM_SIDE

# What a model with dynamic sizes is traced with. All differ, so that none is taken for another, and
# none is a multiple of what a network halves.
_BATCH, _CONTENT, _STYLE = 2, (82, 73), (57, 66)


class Sizes(NamedTuple):
    """What is fixed in an exported model; None is dynamic.

    `batch` is of images at once, `side` that of square pictures, in pixels.
    """

    batch: int | None = None
    side: int | None = None


class Input(NamedTuple):
    """An input of an exported model.

    `shape` has a word for each dynamic dimension. `example` is the shape that it is traced with.
    `meaning` says what the numbers are, in words; `dtype` is torch's name of their type.
    """

    name: str
    shape: tuple[int | str, ...]
    example: tuple[int, ...]
    meaning: str
    dtype: str = "float32"


class Exportable(nn.Module):
    """The networks that a method uses once trained, and what it does with them.

    Args:
        method: on the CPU, with one of the capabilities.
        options: of `sample` or `render`.
        sizes: what is fixed.

    Attributes:
        inputs: what `forward` takes, in order.
        output: what it returns: a name, and images (batch, C, H, W) in [-1, 1].
    """

    output = "images"

    def __init__(self, method: Any, options: Mapping[str, Any], sizes: Sizes) -> None:
        super().__init__()
        self._method = (method,)  # in a tuple, so that what only training needs is not registered
        self.options = dict(options)
        self.sizes = sizes
        for name, network in method.networks_in_use(**options).items():
            self.add_module(name, network)
        # The averages and the perceptual networks are in evaluation mode already.
        self.eval().requires_grad_(False).to(memory_format=torch.contiguous_format)

    @property
    def method(self) -> Any:
        """The trained method."""
        return self._method[0]

    @property
    def inputs(self) -> tuple[Input, ...]:
        """See `Exportable`."""
        raise NotImplementedError

    def examples(self) -> tuple[Tensor, ...]:
        """Zeros in the shapes that the model is traced with."""
        return tuple(
            torch.zeros(entry.example, dtype=getattr(torch, entry.dtype)) for entry in self.inputs
        )

    def dynamic_shapes(self) -> dict[str, dict[int, Any]]:
        """By input: which dimensions are dynamic, for `torch.export`."""
        dynamic = torch.export.Dim.DYNAMIC
        return {
            name: {i: dynamic for i, size in enumerate(shape) if isinstance(size, str)}
            for name, shape, *_ in self.inputs
        }


class LatentModule(Exportable):
    """Latents (N, *latent_shape), standard normal, to images."""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Latents."""
        batch, shape = self.sizes.batch, tuple(self.method.latent_shape)
        return (Input("latents", (batch or "batch", *shape), (batch or _BATCH, *shape), "normal"),)

    def forward(self, latents: Tensor) -> Tensor:
        """Images (N, C, H, W) in [-1, 1]."""
        images: Tensor = self.method.sample(Latents(latents), **self.options)
        return images


class LabeledModule(LatentModule):
    """Latents (N, *latent_shape), standard normal, and labels (N,), int64, to images."""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Latents and labels."""
        batch = self.sizes.batch
        what = f"classes, from 0 to {self.method.classes - 1}"
        labels = Input("labels", (batch or "batch",), (batch or _BATCH,), what, "int64")
        return *super().inputs, labels

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:  # type: ignore[override]
        """Images (N, C, H, W) in [-1, 1]."""
        images: Tensor = self.method.sample(LabeledLatents(latents, labels), **self.options)
        return images


class PictureModule(Exportable):
    """Pictures (N, 3, H, W) in [-1, 1], of any size, to pictures of that size."""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Pictures."""
        return (self.picture("content", _CONTENT),)

    def picture(self, name: str, example: tuple[int, int], prefix: str = "") -> Input:
        """The input of that name."""
        batch, side = self.sizes
        words = (side, side) if side else (f"{prefix}height", f"{prefix}width")
        fixed = (side, side) if side else example
        return Input(
            name, (batch or "batch", 3, *words), (batch or _BATCH, 3, *fixed), "RGB in [-1, 1]"
        )

    def forward(self, content: Tensor) -> Tensor:
        """Pictures of the same size."""
        return self.render(content, None)

    def render(self, content: Tensor, style: Tensor | None) -> Tensor:
        """The pictures, made with their edges repeated as far as the method needs it."""
        padded = repeat_edges(content, self.method.multiple)
        # At its own size, whatever that is: what depends on the size would fix it.
        own = {"strokes_at": 0} if "strokes_at" in self.method.options else {}
        images = self.method.render(padded, style, **own, **self.options)
        return cut_edges(images, *content.shape[2:])


class StyleModule(PictureModule):
    """Contents and styles, both pictures of any size, to pictures of the contents' size."""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Contents and styles."""
        return self.picture("content", _CONTENT), self.picture("style", _STYLE, "style_")

    def forward(self, content: Tensor, style: Tensor) -> Tensor:  # type: ignore[override]
        """Pictures of the contents' size."""
        return self.render(content, self.method.describe(style))


def make_exportable(
    method: Method, options: Mapping[str, Any], sizes: Sizes, where: object
) -> Exportable:
    """The module of whatever capability a trained method has.

    Args:
        method: of a run.
        options: of its `sample` or `render`, checked.
        sizes: what is fixed.
        where: the method is from, for messages.

    Raises:
        UserError: if it has none, or the sizes do not fit it.
    """
    if isinstance(method, FromLatents):
        if sizes.side is not None:
            raise UserError(
                f"size={sizes.side}: the model of {where} makes images from latents, in one size: "
                "leave size= out"
            )
        made = LabeledModule if method.classes else LatentModule
        return made(method, options, sizes)
    if not isinstance(method, FromPictures):
        raise does_not_work(method, "export", where)
    if sizes.side is not None and sizes.side < MINIMUM_SIDE:
        raise UserError(f"size={sizes.side} must be at least {MINIMUM_SIDE} pixels")
    kind = StyleModule if method.takes_style else PictureModule
    return kind(method, options, sizes)
