"""Palettes that go together, drawn in the perceptual space OKLCH."""

import numpy as np

# Hues in degrees from the palette's main one; the first colors of each are the most frequent.
_HARMONIES = (
    (0, 25, -25, 50, -50, 180),  # neighbors and one opposite
    (0, 180, 15, 195, -15, 165),  # two opposites
    (0, 120, 240, 15, 135, 255),  # a triad
    (0, 150, 210, 20, 170, 190),  # split opposites
    (0, 90, 180, 270, 20, 200),  # a square
)
# OKLab to the cone responses, and these to linear sRGB (Ottosson 2020, "A perceptual color space
# for image processing").
_TO_CONES = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_TO_LINEAR = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def palette(rng: np.random.Generator, lightness: tuple[float, float] = (0.25, 0.93)) -> np.ndarray:
    """Six colors, from dark to light, float (6, 3) sRGB in [0, 1].

    Args:
        rng: what the colors are drawn from.
        lightness: of the darkest and the lightest color, OKLab's L, in [0, 1].
    """
    hues = rng.uniform(0, 360) + np.array(_HARMONIES[rng.integers(len(_HARMONIES))])
    hues = rng.permutation(hues + rng.normal(0, 6, 6))
    level = np.linspace(*lightness, 6) + rng.uniform(-0.04, 0.04, 6)
    # Very dark and very light colors cannot be as vivid as those between.
    chroma = rng.uniform(0.12, 0.23) * np.clip(1.15 - 1.5 * np.abs(level - 0.6), 0.25, 1)
    chroma = chroma * rng.uniform(0.75, 1.15, 6)
    return np.array([_vivid(*color) for color in zip(level, chroma, hues, strict=True)])


def shade(colors: np.ndarray, rng: np.random.Generator, amount: float) -> np.ndarray:
    """Colors (n, 3) in [0, 1], each a little lighter or darker and a little off its hue."""
    lighter = rng.normal(0, amount, (len(colors), 1))
    off = rng.normal(0, 0.6 * amount, (len(colors), 3))
    return np.clip(colors + lighter + off, 0, 1)


def blend(colors: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Colors (n, 3) interpolated at positions (...) in [0, 1]: float (..., 3)."""
    at = np.linspace(0, 1, len(colors))
    return np.stack([np.interp(position, at, channel) for channel in colors.T], -1)


def luminance(picture: np.ndarray) -> np.ndarray:
    """ITU-R BT.601 luminance (...) of sRGB (..., 3)."""
    light: np.ndarray = picture @ np.array([0.299, 0.587, 0.114])
    return light


def to_uint8(picture: np.ndarray) -> np.ndarray:
    """Float in [0, 1] to uint8 in [0, 255], clipped and rounded."""
    pixels: np.ndarray = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return pixels


def _vivid(level: float, chroma: float, hue: float) -> np.ndarray:
    """The color of OKLCH, or the most vivid of its lightness and hue that sRGB can show."""
    angle = np.deg2rad(hue)
    for part in np.linspace(1, 0, 21):
        lab = np.array([level, part * chroma * np.cos(angle), part * chroma * np.sin(angle)])
        linear = _TO_LINEAR @ (_TO_CONES @ lab) ** 3
        if linear.min() >= 0 and linear.max() <= 1:
            break
    linear = np.clip(linear, 0, 1)
    color: np.ndarray = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055
    )
    return color
