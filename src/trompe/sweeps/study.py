"""A study: made or joined as a whole, and what its user attributes say."""

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from trompe.errors import UserError
from trompe.sweeps.samplers import Grid
from trompe.sweeps.space import Space, meaning
from trompe.sweeps.trial import Objective

Parameters = Mapping[str, Any]

# Attributes of a study, and of a trial.
SESSIONS = "sessions"  # how many have worked on the study
PLACES = "sweeps"  # by sweep id: the sweep's folder when it was last worked on
SWEEP = "sweep"  # id of the sweep that trains the trial
RUN = "run"  # its run folder, relative to that of the sweep
REPEATS = "repeats"  # number of the trial that it takes its result from
ERROR = "error"

_N_TRIALS = 20  # for samplers that could go on forever


def make_study(storage: BaseStorage, name: str, objective: Objective, space: Space) -> optuna.Study:
    """A new study, or the one of that name; to be called inside the storage's lock.

    Raises:
        UserError: if there is one that is not of this objective and space.
    """
    study = optuna.create_study(
        study_name=name,
        storage=storage,
        directions=list(objective.directions),
        load_if_exists=True,
    )
    description = {
        "objective": list(objective.names),
        "directions": list(objective.directions),
        "space": {key: str(value) for key, value in space.dimensions.items()},
    }
    known = {key: study.user_attrs.get(key) for key in description}
    if "space" in study.user_attrs and known != description:
        raise UserError(f"the study {name} already exists and is another sweep: {known}")
    for key, value in description.items():  # "space" last: with it the description is complete
        if study.user_attrs.get(key) != value:
            study.set_user_attr(key, value)
    return study


def count_session(study: optuna.Study) -> int:
    """The number of this session, which no other has; inside the storage's lock."""
    number: int = study.user_attrs.get(SESSIONS, 0)
    study.set_user_attr(SESSIONS, number + 1)
    return number


def plan_trials(study: optuna.Study, space: Space, n_trials: int | None, repeats: bool) -> int:
    """Queue what a grid has still to train; inside the storage's lock.

    Args:
        study: with its sampler.
        space: of the study.
        n_trials: of the study; None stands for as many as it takes.
        repeats: whether a combination may be trained again.

    Returns:
        The number of trials that the study shall have, repeats not counted.
    """
    size = None if repeats else space.size
    if not isinstance(study.sampler, Grid):
        wanted = _N_TRIALS if n_trials is None else n_trials
        return wanted if size is None else min(wanted, size)
    planned = study.sampler.plan(space)[:n_trials]
    known = known_parameters(study.get_trials(deepcopy=False))
    for parameters in planned:
        if identity(parameters) not in known:
            known.add(identity(parameters))
            study.enqueue_trial(parameters)
    return len(planned)


def identity(parameters: Parameters) -> Hashable:
    """Equal for parameters that mean the same."""
    return frozenset((key, meaning(value)) for key, value in parameters.items())


def known_parameters(trials: Iterable[FrozenTrial]) -> set[Hashable]:
    """The identities of all trials that were started or are queued."""
    return {
        identity(trial.system_attrs.get("fixed_params", trial.params))
        for trial in trials
        if trial.state == TrialState.WAITING or owner(trial) is not None
    }


def owner(trial: FrozenTrial) -> str | None:
    """The id of the sweep that trains it; None if its worker died before it said so.

    Trials of older versions have the path of the sweep's folder instead.
    """
    found: str | None = trial.user_attrs.get(SWEEP, trial.user_attrs.get("folder"))
    return found


def count_trials(trials: Iterable[FrozenTrial]) -> int:
    """How many are trained or were trained."""
    return sum(owner(trial) is not None and not is_repeat(trial) for trial in trials)


def is_repeat(trial: FrozenTrial) -> bool:
    """Whether it was not trained, since an equal one was."""
    return REPEATS in trial.user_attrs


def original_of(trial: FrozenTrial, trials: Iterable[FrozenTrial]) -> FrozenTrial | None:
    """The first trial with the same parameters that was started before; None if there is none."""
    known = identity(trial.params)
    for other in trials:
        if other.number >= trial.number or owner(other) is None or is_repeat(other):
            continue
        if identity(other.params) == known:
            return other
    return None
