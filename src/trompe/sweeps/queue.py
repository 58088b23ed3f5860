"""Which trial is next, for all workers of a study: each once, and no configuration twice."""

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial, TrialState

from trompe.sweeps.space import Space
from trompe.sweeps.storage import StudyStorage
from trompe.sweeps.study import (
    ERROR,
    REPEATS,
    RUN,
    SWEEP,
    count_trials,
    identity,
    is_repeat,
    known_parameters,
    original_of,
    owner,
)
from trompe.sweeps.sweep_folder import SweepFolder

_REPEATS = 3  # in a row, after which a sampler is helped


@dataclass
class Settings:
    """How a worker works.

    Args:
        sweep_id: whose trials they are.
        n_trials: of the study, over all workers, repeats not counted; with so many begun, those
            that are queued stay there.
        repeats: whether a combination may be trained again.
        jobs: trials at once.
        retries: how often a trial that failed is started again, from its checkpoint.
        poll_seconds: time between two checks of the trials.
        common: arguments of every trial, before its overrides.
        trust: whether the trials' runs may name code of their own, as this session's do.
        check: refuses the overrides of a trial that this session may not run.
    """

    sweep_id: str
    n_trials: int
    repeats: bool
    jobs: int
    retries: int
    poll_seconds: float
    common: list[str]
    trust: bool
    check: Callable[[list[str]], None]


class Queue:
    """Hands out trials, inside the storage's lock.

    Args:
        folder: of the sweep.
        study: with its sampler.
        storage: that the study is in, with its lock.
        space: what trials are made of.
        settings: numbers.
        say: called with every event, in one line.

    Attributes:
        left: trials not to resume in this session.
        is_closed: whether no more trials are wanted.
    """

    def __init__(
        self,
        folder: SweepFolder,
        study: optuna.Study,
        storage: StudyStorage,
        space: Space,
        settings: Settings,
        say: Callable[[str], None],
    ) -> None:
        self.left: set[int] = set()
        self.is_closed = False
        self._folder = folder
        self._study = study
        self._storage = storage
        self._space = space
        self._settings = settings
        self._say = say

    def take(self, active: Collection[int]) -> FrozenTrial | None:
        """A trial to train, claimed: one that was left unfinished, or a new one.

        Args:
            active: numbers of those that this worker is training.

        Returns:
            None if the study has all its trials, or no more are wanted.
        """
        if self.is_closed:
            return None
        with self._storage.exclusively(self._study.study_name):
            self._settle()
            return self._orphan(active) or self._ask()

    def _orphan(self, active: Collection[int]) -> FrozenTrial | None:
        """A trial of this sweep that no worker owns any longer, claimed."""
        for trial in self._trials(TrialState.RUNNING):
            number = trial.number
            if owner(trial) is None:
                # Its worker died while it asked: within the lock nobody is asking now.
                self._fail(trial, "the sweep was killed before the trial had parameters")
                continue
            if is_repeat(trial) or not self._is_mine(trial):
                continue
            if number in active or number in self.left or not self._folder.claim(number):
                continue  # another worker may have it
            run = self._folder.run_of(number)
            if run is not None and run.is_locked():
                self._say(f"trial {number} is still being trained in {run.path}: left alone")
                self.left.add(number)
                self._folder.release(number)
                continue
            return trial
        return None

    def _is_mine(self, trial: FrozenTrial) -> bool:
        """Whether this sweep trains it; in a file of its own folder it trains all."""
        return self._storage.is_private or owner(trial) == self._settings.sweep_id

    def _ask(self) -> FrozenTrial | None:
        """A new trial, claimed; None if the study has all its trials.

        The same configuration is not trained twice: a repeat takes the known result. A
        sampler that does nothing but repeat is given a combination that is still untried.
        """
        for attempt in itertools.count(1):
            trials = self._trials()
            waiting = any(trial.state == TrialState.WAITING for trial in trials)
            if count_trials(trials) >= self._settings.n_trials:
                return None
            if not waiting and attempt > _REPEATS and not self._enqueue_untried(trials):
                self._say("the sampler repeats itself: no further trials")
                return None
            asked = self._study.ask(fixed_distributions=dict(self._space.dimensions))
            trial = self._trials()[asked.number]
            original = None if self._settings.repeats else original_of(trial, trials)
            if original is not None:
                asked.set_user_attr(REPEATS, original.number)
            # Last: from here on it has an owner, who resumes it or knows that it is a repeat.
            asked.set_user_attr(SWEEP, self._settings.sweep_id)
            if original is None:
                claimed = self._folder.claim(trial.number)
                assert claimed, f"trial {trial.number} is new and has an owner"
                return trial
            self._say(f"trial {trial.number} repeats trial {original.number}: not trained again")
            self._settle()
        return None

    def _enqueue_untried(self, trials: Sequence[FrozenTrial]) -> bool:
        """Queue the first combination that no trial has; False if there is none to be found."""
        if self._space.size is None:
            return False
        known = known_parameters(trials)
        for parameters in self._space.each_combination():
            if identity(parameters) not in known:
                self._study.enqueue_trial(parameters)
                return True
        return False

    def _settle(self) -> None:
        """Give repeats the results of the trials that they repeat, where these have ended."""
        trials = self._trials()
        for trial in trials:
            if trial.state != TrialState.RUNNING or not is_repeat(trial):
                continue
            original = trials[trial.user_attrs[REPEATS]]
            if not original.state.is_finished():
                continue
            for step, value in original.intermediate_values.items():
                self._storage.study.set_trial_intermediate_value(trial._trial_id, step, value)
            known = {RUN: self._folder.place(self._study, original)}
            known[ERROR] = original.user_attrs.get(ERROR, "")
            for key, text in known.items():
                if text:
                    self._storage.study.set_trial_user_attr(trial._trial_id, key, text)
            done = original.state == TrialState.COMPLETE
            self._study.tell(trial.number, original.values if done else None, original.state)

    def _fail(self, trial: FrozenTrial, error: str) -> None:
        """Of a trial that was never started."""
        self._storage.study.set_trial_user_attr(trial._trial_id, ERROR, error)
        self._study.tell(trial.number, state=TrialState.FAIL)
        queued = trial.system_attrs.get("fixed_params")
        if queued is not None and identity(queued) not in known_parameters(self._trials()):
            self._study.enqueue_trial(queued)
        self._say(f"trial {trial.number} failed: {error}")

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states or None)
