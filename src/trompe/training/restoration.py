"""What a method that restores a picture leaves in the run folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from trompe.files import whole_path
from trompe.images import to_levels, to_picture
from trompe.losses.fidelity import psnr
from trompe.methods.capabilities import Restores
from trompe.runs.run_folder import RunFolder, write_json

_SHOWN = 8  # iterations in the strip
_SSIM_LEAST = 11  # pixels: the side of its window


def write_restoration(run: RunFolder, method: Restores, data: Any) -> list[str]:
    """Write `restored.png`, the numbers as `restored.json`, and `restoring.png`; lines about them.

    `restored.png` is what the method stopped at, or its last picture if it found no place to stop.
    """
    versions = {
        name: (iterations, data.complete(picture))
        for name, (iterations, picture) in method.versions().items()
    }
    chosen = "stopped" if "stopped" in versions else "last"
    found: dict[str, Any] = {"chosen": chosen}
    if data.reference is not None:
        found["plain"] = fidelity(data.plain, data.reference)
    for name, (iterations, picture) in versions.items():
        values = {} if data.reference is None else fidelity(picture, data.reference)
        found[name] = {"iterations": iterations, **values}
    data.save(versions[chosen][1], run.path / "restored.png")
    write_json(run.path / "restored.json", found)
    draw(run, versions[chosen][1], data, found, run.path / "restoring.png")
    lines = [f"restored {run.path / 'restored.png'}", f"course   {run.path / 'restoring.png'}"]
    for name in ("plain", *versions):
        if "psnr" in (values := found.get(name, {})):
            lines.append(f"{name:8} {described(values)}")
    return lines


def fidelity(picture: Tensor, reference: Tensor) -> dict[str, float | None]:
    """PSNR, dB, and SSIM (Wang et al. 2004) of pictures (1, C, H, W) in [0, 1], of all channels."""
    ratio = float(psnr((picture - reference).square().mean()))
    similarity: Any = None
    if min(picture.shape[2:]) >= _SSIM_LEAST:
        similarity = structural_similarity_index_measure(picture, reference, data_range=1.0)
    return {"psnr": ratio, "ssim": None if similarity is None else float(similarity)}


def described(values: Mapping[str, Any]) -> str:
    """Numbers of `fidelity`, and after how many iterations, as text."""
    parts = [f"PSNR {values['psnr']:.2f} dB"]
    parts += [] if values["ssim"] is None else [f"SSIM {values['ssim']:.3f}"]
    parts += [f"after {values['iterations']} iterations"] if "iterations" in values else []
    return ", ".join(parts)


def as_picture(image: Tensor) -> Image.Image:
    """A Pillow image of (1, C, H, W) in [0, 1]."""
    return to_picture(to_levels(image[0]).cpu())


def draw(run: RunFolder, restored: Tensor, data: Any, found: Mapping[str, Any], path: Path) -> None:
    """The course of a run: pictures along it, and its curves below."""
    from matplotlib.figure import Figure

    shown = [("degraded", as_picture(data.plain)), *along(run), ("restored", as_picture(restored))]
    if data.reference is not None:
        shown.append(("good", as_picture(data.reference)))
    aspect = shown[0][1].height / shown[0][1].width
    width = 2.0 * len(shown)
    tall = 2.0 * aspect + 0.3
    figure = Figure(figsize=(width, tall + 3), layout="constrained")
    above, below = np.asarray(figure.subfigures(2, 1, height_ratios=[tall, 3]))
    axes = above.subplots(1, len(shown), squeeze=False)[0]
    for axis, (title, picture) in zip(axes, shown, strict=True):
        axis.imshow(np.asarray(picture), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axis.set_title(title, fontsize=10)
        axis.axis("off")
    curves = curves_of(run)
    axes = below.subplots(1, len(curves), squeeze=False)[0]
    for axis, (label, lines) in zip(axes, curves.items(), strict=True):
        for name, points in lines.items():
            axis.plot(*zip(*points, strict=True), label=name, lw=1.4)
        for name, style in (("stopped", "--"), ("peak", ":")):
            if "iterations" in found.get(name, {}):
                axis.axvline(found[name]["iterations"], color="black", ls=style, lw=1, label=name)
        axis.set(xlabel="iterations", ylabel=label, yscale="linear" if "dB" in label else "log")
        axis.grid(alpha=0.25)
        axis.legend(fontsize=8, frameon=False)
    with whole_path(path) as temporary:
        figure.savefig(temporary, dpi=max(100, shown[0][1].width / 2.0), format="png")


def along(run: RunFolder) -> list[tuple[str, Image.Image]]:
    """Some of a run's pictures, closer together in the beginning, by their iterations."""
    files = sorted((run.path / "samples").glob("[0-9]*.png"))[1:]  # the first is of no iteration
    places = np.unique(np.geomspace(1, max(1, len(files)), _SHOWN).round().astype(int) - 1)
    some: list[tuple[str, Image.Image]] = []
    for file in (files[place] for place in places if place < len(files)):
        with Image.open(file) as picture:
            some.append((f"{float(file.stem) * 1000:.0f} iterations", picture.copy()))
    return some


def curves_of(run: RunFolder) -> dict[str, dict[str, Sequence[tuple[float, float]]]]:
    """The run's curves over iterations, by what is on their axis, then by name."""
    panels = {
        "PSNR, dB": ("psnr/output", "psnr/average"),
        "variance of the outputs": ("stopping/variance",),
        "misfit": ("loss/misfit",),
    }
    records = run.read_metrics()
    curves: dict[str, dict[str, Sequence[tuple[float, float]]]] = {
        label: {
            name: points
            for name in names
            if (points := [(r["kimg"] * 1000, r[name]) for r in records if name in r])
        }
        for label, names in panels.items()
    }
    return {label: lines for label, lines in curves.items() if lines}
