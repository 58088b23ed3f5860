"""The sweep on the terminal: what happened, what runs, what is best."""

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from trompe.sweeps.study import count_trials, is_repeat
from trompe.sweeps.sweep_folder import state_name
from trompe.sweeps.trial import Active
from trompe.sweeps.worker import Worker

_BEST = 5  # finished trials that are shown


class SweepTable:
    """On a terminal a live table; elsewhere a line for every event.

    Args:
        console: to write on.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        # Without rich's own thread: the process forks.
        self._live = Live(console=self.console, auto_refresh=False, transient=True)
        self._budgets: dict[int, float] = {}

    def __enter__(self) -> "SweepTable":
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def say(self, line: str) -> None:
        """Print one line, above the table."""
        self.console.print(Text(line), soft_wrap=True)

    def draw(self, worker: Worker) -> None:
        """Show the current state."""
        if self.console.is_terminal:
            self._live.update(self.render(worker), refresh=True)

    def render(self, worker: Worker) -> Group:
        """The table of running and of the best trials, with a line of counts."""
        trials = worker.study.get_trials(deepcopy=False)
        names = list(worker.space.dimensions)
        table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
        for title in ("trial", "state", "kimg", *worker.objective.names, *names):
            right = title not in ("state", *names)
            table.add_column(title, justify="right" if right else "left", overflow="fold")
        for active in worker.active.values():
            table.add_row(*self._running(worker, active, names))
        for trial in best_trials(worker.study)[:_BEST]:
            values = [f"{value:.5g}" for value in trial.values]
            parameters = [show(trial.params.get(name)) for name in names]
            table.add_row(str(trial.number), state_name(trial), "", *values, *parameters)
        counts = {state: 0 for state in ("done", "pruned", "failed", "running")}
        for trial in trials:
            counts[state_name(trial)] = counts.get(state_name(trial), 0) + 1
        counts["waiting"] = worker.settings.n_trials - count_trials(trials)
        line = "  ".join(f"{count} {state}" for state, count in counts.items() if count > 0)
        return Group(table, Text(f"{line}  of {worker.settings.n_trials} trials"))

    def _running(self, worker: Worker, active: Active, names: Sequence[str]) -> list[str]:
        points = worker.objective.points(active.records)
        values = worker.objective.choose(points)
        shown = [f"{v:.5g}" for v in values] if values else ["" for _ in worker.objective.names]
        if active.run is not None and active.number not in self._budgets:
            self._budgets[active.number] = float(active.run.read_config()["kimg"])
        budget = self._budgets.get(active.number)
        state = "pruning" if active.pruned else "running"
        kimg = f"{active.kimg:.1f}/{budget:.1f}" if budget else "starting"
        parameters = [show(active.parameters.get(name)) for name in names]
        return [str(active.number), state, kimg, *shown, *parameters]


def best_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Finished trials, best first; with several objectives the Pareto front."""
    if len(study.directions) > 1:
        return [trial for trial in study.best_trials if not is_repeat(trial)]
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    done = [trial for trial in done if not is_repeat(trial)]
    higher = study.direction == StudyDirection.MAXIMIZE
    return sorted(done, key=lambda trial: trial.values[0], reverse=higher)


def show(value: Any) -> str:
    """A parameter's value, short."""
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
