"""The loop of a sweep: ask Optuna, start trials, follow them, tell Optuna."""

import signal
import time
from collections.abc import Callable
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from trompe.sweeps.launchers import Ended, Job, Local, Submitit
from trompe.sweeps.queue import Queue, Settings
from trompe.sweeps.space import Space
from trompe.sweeps.storage import StudyStorage
from trompe.sweeps.study import ERROR, RUN
from trompe.sweeps.sweep_folder import SweepFolder
from trompe.sweeps.trial import Active, Objective
from trompe.words import quoted

_INTERRUPTED = (128 + signal.SIGINT, 128 + signal.SIGTERM)


class Worker:
    """Works on a study until it has all its trials.

    Args:
        folder: of the sweep.
        study: with its sampler and pruner.
        storage: that the study is in, with its lock.
        space: what trials are made of.
        objective: what they are judged by.
        launcher: what starts them.
        settings: numbers.
        say: called with every event, in one line.
    """

    def __init__(
        self,
        folder: SweepFolder,
        study: optuna.Study,
        storage: StudyStorage,
        space: Space,
        objective: Objective,
        launcher: Local | Submitit,
        settings: Settings,
        say: Callable[[str], None],
    ) -> None:
        self.folder = folder
        self.study = study
        self.storage = storage
        self.space = space
        self.objective = objective
        self.launcher = launcher
        self.settings = settings
        self.active: dict[int, Active] = {}
        self.queue = Queue(folder, study, storage, space, settings, say)
        self._say = say

    def run(self, draw: Callable[["Worker"], None]) -> None:
        """Run the study to its end, calling `draw` on every pass.

        However it ends, no trial's process outlives it.
        """
        try:
            while True:
                self._fill()
                draw(self)
                if not self.active:
                    return
                time.sleep(self.settings.poll_seconds)
                for active in list(self.active.values()):
                    self._advance(active)
        finally:
            self._stop_all()

    def _fill(self) -> None:
        """Start trials as long as there is room."""
        while len(self.active) < self.settings.jobs:
            trial = self.queue.take(self.active.keys())
            if trial is None:
                return
            used = {active.slot for active in self.active.values()}
            slot = next(i for i in range(self.settings.jobs) if i not in used)
            self._start(trial, slot)

    def _start(self, trial: FrozenTrial, slot: int, attempts: int = 1) -> None:
        """Start a trial's process: a new run, or the one it has, from its last checkpoint."""
        number = trial.number
        folder = self.folder.trial(number)
        folder.mkdir(parents=True, exist_ok=True)
        run = self.folder.check_trial(trial)
        if run is not None:
            self._attribute(number, RUN, self.folder.relative(run))
            arguments = [f"run={quoted(str(run.path))}"]
            arguments += ["trust=true"] if self.settings.trust else []
            self._say(f"trial {number} resumes: {run.path}")
        else:
            arguments = [
                *self.space.overrides(trial.params),
                f"paths.output_dir={quoted(str(folder))}",
            ]
            self.settings.check(arguments)
            shown = ", ".join(f"{name}={_short(value)}" for name, value in trial.params.items())
            self._say(f"trial {number} starts: {shown}")
        if run is not None and run.read_facts().get("status") == "done":
            job: Job = Ended()  # the sweep was killed before it could record that
        else:
            (folder / "stderr.log").unlink(missing_ok=True)
            arguments = [*self.settings.common, *arguments]
            job = self.launcher.start(arguments, folder, slot, self.settings.jobs)
        active = Active(number, trial.params, folder, job, slot, attempts, run=run)
        self.active[number] = active

    def _advance(self, active: Active) -> None:
        """Report what is new, prune, and retire a trial that has ended."""
        code = active.job.poll()  # before reading, so that nothing is written after the last look
        self._follow(active)
        if code is None:
            if active.pruned or active.damage:
                active.stop()
            return
        del self.active[active.number]
        if active.damage:
            self._fail(active, active.damage)
        elif active.pruned:
            self._finish(active, TrialState.PRUNED, "pruned")
        elif code < 0 or code in _INTERRUPTED:
            self.queue.left.add(active.number)
            self._say(f"trial {active.number} was stopped from outside; resume= resumes it")
            self.folder.release(active.number)
        elif code == 0:
            self._complete(active)
        elif active.attempts <= self.settings.retries:
            self._say(f"trial {active.number} failed and is being retried: {active.error()}")
            self._start(self._frozen(active.number), active.slot, active.attempts + 1)
        else:
            self._fail(active, active.error())

    def _follow(self, active: Active) -> None:
        """Find the trial's run, and read what is new in it."""
        if active.run is None:
            active.run = self.folder.run_of(active.number)
            if active.run is not None:
                self._attribute(active.number, RUN, self.folder.relative(active.run))
        if active.run is not None:
            active.read()
            self._report(active)

    def _report(self, active: Active) -> None:
        """Give Optuna the values of new ticks, and ask it whether to continue."""
        if len(self.objective.names) > 1:
            return  # Optuna prunes by one value
        trial_id = self._id(active.number)
        storage = self.storage.study
        known = storage.get_trial(trial_id).intermediate_values
        for tick, values in sorted(self.objective.points(active.records).items()):
            if tick in known or active.pruned:
                continue
            storage.set_trial_intermediate_value(trial_id, tick, values[0])
            active.pruned = self.study.pruner.prune(self.study, storage.get_trial(trial_id))
            if active.pruned:
                active.stop()

    def _complete(self, active: Active) -> None:
        values = self.objective.choose(self.objective.points(active.records))
        if values is not None:
            return self._finish(active, TrialState.COMPLETE, "is done", values)
        if not self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            self.queue.is_closed = True  # others would train for nothing too
        names = sorted({name for record in active.records for name in record if name != "time"})
        return self._fail(
            active,
            f"objective={','.join(self.objective.names)} was never recorded; the run recorded: "
            f"{', '.join(names) or 'no ticks'}",
        )

    def _fail(self, active: Active, error: str) -> None:
        self._attribute(active.number, ERROR, error)
        self._finish(active, TrialState.FAIL, f"failed: {error}")

    def _finish(
        self, active: Active, state: TrialState, what: str, values: list[float] | None = None
    ) -> None:
        self.study.tell(active.number, values, state)
        if state == TrialState.PRUNED and active.run is not None:
            active.run.update_facts(status="pruned")
        shown = ", ".join(
            f"{name} = {value:.6g}"
            for name, value in zip(self.objective.names, values or [], strict=False)
        )
        at = f" at {active.kimg:.1f} kimg" if state == TrialState.PRUNED else ""
        self._say(f"trial {active.number} {what}{at}{': ' if shown else ''}{shown}")
        self.folder.write_table(self.study)
        self.folder.release(active.number)

    def _stop_all(self) -> None:
        """Stop running trials; they stay unfinished, to be resumed."""
        for active in self.active.values():
            active.stop()
        while any(active.job.poll() is None for active in self.active.values()):
            time.sleep(0.1)
            for active in self.active.values():
                active.stop()
        for number in list(self.active):
            self.folder.release(number)
        self.active.clear()

    def _id(self, number: int) -> int:
        storage = self.storage.study
        study_id = storage.get_study_id_from_name(self.study.study_name)
        return storage.get_trial_id_from_study_id_trial_number(study_id, number)

    def _frozen(self, number: int) -> FrozenTrial:
        return self.storage.study.get_trial(self._id(number))

    def _attribute(self, number: int, key: str, value: Any) -> None:
        self.storage.study.set_trial_user_attr(self._id(number), key, value)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
