"""Pictures of a run: its curves."""

from collections.abc import Iterable
from pathlib import Path

from trompe.files import whole_path
from trompe.runs.run_folder import RunFolder
from trompe.runs.summary import Summary

_BINS = 500  # of two points; a panel has as many pixels
_SHARES = ("precision_", "recall_", "density_", "coverage_", "modes_")


def draw_curves(run: RunFolder) -> Path | None:
    """Draw metrics, losses and logits over kimg into `curves.png`; None if there are none.

    Raises:
        UserError: if it cannot be written.
    """
    summary = Summary(has_curves=True)
    for record in run.iterate_metrics():
        summary.add(record)
    if not (panels := _panels(summary.curves)):
        return None
    from matplotlib.figure import Figure  # without pyplot: no global state, no display

    # Margins in inches; matplotlib's own layouts draw everything twice to find them.
    width, height, left, right, below, above = 5 * len(panels), 3.4, 0.65, 0.15, 0.5, 0.35
    figure = Figure(figsize=(width, height))
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    figure.subplots_adjust(
        left=left / width,
        right=1 - right / width,
        bottom=below / height,
        top=1 - above / height,
        wspace=(left + right) / (5 - left - right),
    )
    for axis, (title, names) in zip(axes, panels, strict=True):
        for name in names:
            points = summary.curves[name].points(_BINS)
            marker = "o" if len(points) < 20 else None
            axis.plot(*zip(*points, strict=True), label=name, marker=marker, markersize=3, lw=1.4)
        axis.set_xlabel("kimg (thousands of images seen)")
        axis.set_title(title, fontsize=10)
        axis.grid(alpha=0.25)
        axis.legend(fontsize=8, frameon=False)
    target = run.path / "curves.png"
    with whole_path(target) as temporary:
        figure.savefig(temporary, dpi=110)
    return target


def _panels(names: Iterable[str]) -> list[tuple[str, list[str]]]:
    groups = {
        "distances (lower is better)": sorted(n for n in names if n.startswith("fd_")),
        "kernel distances (lower is better)": sorted(n for n in names if n.startswith("kd_")),
        "shares (higher is better)": sorted(n for n in names if n.startswith(_SHARES)),
        "signal to noise, dB (higher is better)": sorted(n for n in names if n.startswith("psnr/")),
        "losses": sorted(n for n in names if n.startswith(("loss/", "penalty/"))),
        "discriminator logits": sorted(n for n in names if n.startswith("logits/")),
        "augmentation": sorted(n for n in names if n.startswith("augment/")),
        "stopping (at the least)": sorted(n for n in names if n.startswith("stopping/")),
    }
    return [(title, members) for title, members in groups.items() if members]
