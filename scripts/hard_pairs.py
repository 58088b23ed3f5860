"""The pairs that style transfer finds hardest, at full size, to be looked at.

`python scripts/hard_pairs.py STYLES OUTPUT [--run RUN]`: a face, print, a plain sky, a picture at
night, line art and fur, each after a painting of the folder STYLES and after a picture of our
painter, by the embedded stylizer or a run. Writes the pictures and `sheet.jpg`.
"""

import argparse
from pathlib import Path

import numpy as np
import skimage
import torch
from PIL import Image, ImageOps
from torch import Tensor

from trompe.data.painter import PaintedSource
from trompe.images import from_picture, make_grid, save_picture, to_picture, to_signed, to_uint8
from trompe.stylizers.picture_files import find_pictures, read
from trompe.stylizers.trained import choose

SIZE = 512
UNSEEN = 1_000_000  # the painter's seed: no set for training has it


def contents() -> dict[str, Image.Image]:
    """Six hard ones, from scikit-image's own pictures."""
    astronaut = Image.fromarray(skimage.data.astronaut())
    rocket = Image.fromarray(skimage.data.rocket())
    return {
        "face": astronaut.crop((150, 0, 350, 200)),
        "print": Image.fromarray(skimage.data.page()),
        "sky": rocket.crop((0, 0, 300, 300)),
        "night": rocket,
        "line_art": Image.fromarray((~skimage.data.horse() * 255).astype(np.uint8)),
        "fur": Image.fromarray(skimage.data.chelsea()),
    }


def tensor(picture: Image.Image, size: int) -> Tensor:
    """The middle square (1, 3, size, size) in [-1, 1]."""
    square = ImageOps.fit(picture.convert("RGB"), (size, size), Image.Resampling.LANCZOS)
    return to_signed(from_picture(square)[None])


def main() -> None:
    """Make all, write each and the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("styles")
    parser.add_argument("output", type=Path)
    parser.add_argument("--run")
    arguments = parser.parse_args()
    stylizer = choose(arguments.run, "last", "outputs", False, tile=None, memory_gib=None)
    files = find_pictures("styles", arguments.styles, 256)
    painted = PaintedSource(10, 512, UNSEEN)
    rows = []
    for number, (name, picture) in enumerate(contents().items()):
        content = tensor(picture, SIZE)
        file = files[number % len(files)]
        styles = {
            file.path.stem: read("style", file.path, 256),
            "painter": tensor(Image.fromarray(painted.read(number)), 256),
        }
        for kind, style in styles.items():
            made = stylizer.render(content, stylizer.describe(style), 1)
            save_picture(to_picture(to_uint8(made)[0]), arguments.output / f"{name}_{kind}.png")
            shown = tensor(to_picture(to_uint8(style)[0]), SIZE)
            rows += [content, shown, made]
    sheet = make_grid(to_uint8(torch.cat(rows)), 6)
    save_picture(to_picture(sheet), arguments.output / "sheet.jpg", quality=88)
    print(f"{len(rows) // 3} pairs in {arguments.output}")


if __name__ == "__main__":
    main()
