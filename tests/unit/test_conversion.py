"""Colors: what each mode of Pillow becomes, and which values are refused."""

import numpy as np
import pytest
import torch
from PIL import Image

from trompe.data.conversion import to_array, to_picture
from trompe.data.limits import Unreadable


def one(image: Image.Image | np.ndarray, channels: int) -> torch.Tensor:
    return torch.from_numpy(to_array(to_picture(image), 4, channels, "lanczos").copy())


def floats(value: float) -> Image.Image:
    return Image.fromarray(np.full((4, 4), value, np.float32))


def palette(transparent: bool) -> Image.Image:
    picture = Image.new("P", (4, 4), 1)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    if transparent:
        picture.info["transparency"] = 1
    return picture


def solid(mode: str, color: object) -> Image.Image:
    return Image.new(mode, (4, 4), color)  # type: ignore[arg-type]


def keyed(picture: Image.Image, color: object) -> Image.Image:
    """With one color that is transparent, as PNG files may have."""
    picture.info["transparency"] = color
    return picture


@pytest.mark.parametrize(
    ("image", "rgb", "gray"),
    [
        (solid("RGB", (255, 0, 0)), (255, 0, 0), 76),
        (solid("L", 90), (90, 90, 90), 90),
        (solid("1", 1), (255, 255, 255), 255),
        (solid("RGBA", (255, 0, 0, 0)), (255, 255, 255), 255),
        (solid("RGBA", (255, 0, 0, 255)), (255, 0, 0), 76),
        (solid("LA", (0, 128)), (127, 127, 127), 127),
        (solid("CMYK", (0, 0, 0, 0)), (255, 255, 255), 255),
        (solid("I;16", 0x8012), (128, 128, 128), 128),
        (solid("I", 0x8012), (128, 128, 128), 128),
        (np.full((4, 4, 1), 7, np.uint8), (7, 7, 7), 7),
        (np.full((4, 4), 7, np.uint8), (7, 7, 7), 7),
        (floats(0.5), (128, 128, 128), 128),
        (floats(1), (255, 255, 255), 255),
        (solid("I;16B", 0x8012), (128, 128, 128), 128),
        (solid("YCbCr", (76, 85, 255)), (254, 0, 0), 76),
        (solid("HSV", (0, 255, 255)), (255, 0, 0), 76),
        (solid("LAB", (128, 128, 128)), (119, 119, 119), 119),
        (palette(transparent=False), (255, 0, 0), 76),
        (palette(transparent=True), (255, 255, 255), 255),
        (keyed(solid("RGB", (255, 0, 0)), (255, 0, 0)), (255, 255, 255), 255),
        (keyed(solid("RGB", (255, 0, 0)), (0, 0, 0)), (255, 0, 0), 76),
        (keyed(solid("L", 90), 90), (255, 255, 255), 255),
        (solid("PA", (0, 0)), (255, 255, 255), 255),
        (solid("RGBa", (0, 0, 0, 0)), (255, 255, 255), 255),
        (solid("La", (0, 0)), (255, 255, 255), 255),
        (solid("RGBX", (255, 0, 0, 0)), (255, 0, 0), 76),
    ],
)
def test_colors(image: Image.Image | np.ndarray, rgb: tuple, gray: int) -> None:
    assert tuple(one(image, 3)[:, 1, 1].tolist()) == rgb
    assert one(image, 1).tolist() == [[[gray] * 4] * 4]


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (floats(1.5), "floats from 1.5 to 1.5"),
        (floats(-0.1), "floats from -0.1"),
        (floats(float("nan")), "floats from nan"),
        (solid("I", 70000), "integers from 70000 to 70000"),
        (solid("I", -1), "integers from -1"),
        (solid("I;16", 200), "16-bit values of at most 200, all of them black"),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_values_of_unknown_meaning_are_refused(
    image: Image.Image, channels: int, said: str
) -> None:
    with pytest.raises(Unreadable, match=said):
        one(image, channels)


def test_damaged_exif_data_do_not_hide_a_picture() -> None:
    picture = solid("RGB", (255, 0, 0))
    picture.info["exif"] = b"garbage"
    assert to_picture(picture).getpixel((0, 0)) == (255, 0, 0)


def test_a_picture_is_refused_for_all_that_is_in_it() -> None:
    """Not for its center alone, which is what is trained on."""
    values = np.zeros((4, 12), np.float32)
    values[:, 0] = 2
    with pytest.raises(Unreadable, match="floats from 0 to 2"):
        one(Image.fromarray(values), 3)
    wide = np.full((4, 12), 163, np.uint16)
    wide[:, 0] = 60000
    assert one(Image.fromarray(wide), 1).max() == 0


def test_black_is_black() -> None:
    assert not one(solid("I;16", 0), 3).any() and not one(floats(0), 3).any()
