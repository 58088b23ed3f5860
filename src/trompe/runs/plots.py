"""Pictures of a run: its curves."""

from pathlib import Path
from typing import Any

from trompe.files import whole_path
from trompe.runs.run_folder import RunFolder

_SHARES = ("precision_", "recall_", "density_", "coverage_", "modes_")


def draw_curves(run: RunFolder) -> Path | None:
    """Draw metrics, losses and logits over kimg into `curves.png`; None if nothing was recorded.

    Raises:
        UserError: if it cannot be written.
    """
    records = run.read_metrics()
    if not records:
        return None
    from matplotlib.figure import Figure  # without pyplot: no global state, no display

    panels = _panels(records)
    figure = Figure(figsize=(5 * len(panels), 3.4), layout="constrained")
    for axis, (title, names) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=False
    ):
        for name in names:
            points = [(r["kimg"], r[name]) for r in records if r.get(name) is not None]
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


def _panels(records: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    names = {k for r in records for k, v in r.items() if v is not None}
    groups = {
        "distances (lower is better)": sorted(n for n in names if n.startswith("fd_")),
        "kernel distances (lower is better)": sorted(n for n in names if n.startswith("kd_")),
        "shares (higher is better)": sorted(n for n in names if n.startswith(_SHARES)),
        "losses": sorted(n for n in names if n.startswith(("loss/", "penalty/"))),
        "discriminator logits": sorted(n for n in names if n.startswith("logits/")),
    }
    return [(title, members) for title, members in groups.items() if members]
