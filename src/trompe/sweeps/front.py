"""The picture of a sweep with two objectives: one against the other, with samples of trials."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from PIL import Image

from trompe.files import whole_path
from trompe.sweeps.study import is_repeat
from trompe.sweeps.sweep_folder import SweepFolder
from trompe.sweeps.table import best_trials, show

_SHOWN = 6  # trials whose pictures are drawn, evenly over the first objective


def draw_pareto(folder: SweepFolder, study: optuna.Study) -> Path | None:
    """Draw the finished trials into ``pareto.png``: their values, the front, their last samples.

    Returns:
        The file; None unless there are two objectives and two finished trials.

    Raises:
        UserError: if it cannot be written.
    """
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    done = [trial for trial in done if not is_repeat(trial)]
    if len(study.directions) != 2 or len(done) < 2:
        return None
    from matplotlib.figure import Figure  # without pyplot: no global state, no display

    done.sort(key=lambda trial: trial.values[0])
    last = max(1, min(_SHOWN, len(done)) - 1)
    chosen = [done[round(i * (len(done) - 1) / last)] for i in range(last + 1)]
    chosen.sort(key=lambda trial: trial.number)
    pictures = [(trial, image) for trial in chosen if (image := _samples(folder, trial))]
    across = 2 if len(pictures) in (2, 4) else 3
    rows = -(-len(pictures) // across)
    tall = 12 / across
    figure = Figure(figsize=(12, 5 + tall * rows), layout="constrained")
    grid = figure.add_gridspec(1 + rows, across, height_ratios=[5, *[tall] * rows])
    _draw_values(figure.add_subplot(grid[0, :]), study, done)
    for i, (trial, image) in enumerate(pictures):
        axis = figure.add_subplot(grid[1 + i // across, i % across])
        axis.imshow(image)
        axis.set_title(_caption(trial), fontsize=10)
        axis.set_axis_off()
    target = folder.path / "pareto.png"
    with whole_path(target) as temporary:
        figure.savefig(temporary, dpi=110)
    return target


def _draw_values(axis: Any, study: optuna.Study, done: Sequence[FrozenTrial]) -> None:
    front = sorted(best_trials(study), key=lambda trial: trial.values[0])
    axis.plot(*zip(*(t.values for t in front), strict=True), "-", color="tab:orange", label="front")
    axis.plot(*zip(*(t.values for t in done), strict=True), "o", color="tab:blue")
    for trial in done:
        axis.annotate(_caption(trial), trial.values, (6, 6), textcoords="offset points", fontsize=9)
    better = {StudyDirection.MINIMIZE: "lower", StudyDirection.MAXIMIZE: "higher"}
    names = study.user_attrs.get("objective", ["first", "second"])
    titles = [f"{n} ({better[d]} is better)" for n, d in zip(names, study.directions, strict=True)]
    axis.set_xlabel(titles[0])
    axis.set_ylabel(titles[1])
    axis.margins(0.1, 0.15)
    axis.grid(alpha=0.25)
    axis.legend(frameon=False)


def _caption(trial: FrozenTrial) -> str:
    chosen = (f"{key.rpartition('.')[2]} {show(value)}" for key, value in trial.params.items())
    return f"{trial.number}: {', '.join(chosen)}"


def _samples(folder: SweepFolder, trial: FrozenTrial) -> Image.Image | None:
    """The last sample grid of a trial; None if it has none, or a damaged one."""
    run = folder.run_of(trial.number)
    files = sorted((run.path / "samples").glob("[0-9]*.png")) if run else []
    try:
        with Image.open(files[-1]) as image:
            return image.convert("RGB")
    except (IndexError, OSError):
        return None
