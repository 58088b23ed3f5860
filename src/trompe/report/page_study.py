"""A sweep's study, as plain values for the comparison page."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from trompe.report.collect import Entry
from trompe.report.page_data import plain
from trompe.runs.index import trial_of
from trompe.runs.variation import as_number

_SHOWN = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def study_data(study: optuna.Study, entries: Sequence[Entry]) -> dict[str, Any]:
    """Parameters, objectives, trials with their runs, and how much each parameter matters."""
    trials = study.get_trials(deepcopy=False, states=_SHOWN)
    objectives = study.user_attrs.get("objective", ["objective"])
    runs: dict[int, int] = {}
    for i, entry in enumerate(entries):
        if (found := trial_of(entry.run.path)) is not None:
            runs[found[1]] = i
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    return {
        "parameters": [_parameter(name, trials) for name in names],
        "objectives": [
            {"name": name, "better": "higher" if direction == StudyDirection.MAXIMIZE else "lower"}
            for name, direction in zip(objectives, study.directions, strict=True)
        ],
        "trials": [
            {
                "number": trial.number,
                "state": trial.state.name.lower(),
                "run": runs.get(trial.number),
                "parameters": [_value(trial, name) for name in names],
                "values": _values(trial, study.directions),
            }
            for trial in trials
        ],
        "importances": [_importances(study, i) for i in range(len(objectives))],
    }


def _parameter(name: str, trials: Sequence[FrozenTrial]) -> dict[str, Any]:
    distribution = next(t.distributions[name] for t in trials if name in t.distributions)
    if isinstance(distribution, CategoricalDistribution):
        return {"name": name, "choices": [as_number(c) for c in distribution.choices], "log": False}
    return {"name": name, "choices": None, "log": bool(getattr(distribution, "log", False))}


def _values(trial: FrozenTrial, directions: Sequence[StudyDirection]) -> list[float | None]:
    """Of each objective; of a trial that did not end, the best of the first that was reported."""
    if trial.values:
        return [plain(value) for value in trial.values]
    seen = [v for v in trial.intermediate_values.values() if math.isfinite(v)]
    best = max if directions[0] == StudyDirection.MAXIMIZE else min
    return [best(seen) if seen and i == 0 else None for i in range(len(directions))]


def _value(trial: FrozenTrial, name: str) -> Any:
    """Of a parameter: a number, or one of the choices as it is typed."""
    value = trial.params.get(name)
    is_choice = isinstance(trial.distributions.get(name), CategoricalDistribution)
    return as_number(value) if is_choice else plain(value)


def _importances(study: optuna.Study, objective: int) -> dict[str, float]:
    """By PED-ANOVA (Watanabe et al. 2023); empty with too few trials or equal values."""
    sign = -1 if study.directions[objective] == StudyDirection.MAXIMIZE else 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns that it looks for low values, as intended
            return get_param_importances(
                study,
                evaluator=PedAnovaImportanceEvaluator(),
                target=lambda trial: sign * trial.values[objective],
            )
    except (ValueError, RuntimeError, ZeroDivisionError):
        return {}
