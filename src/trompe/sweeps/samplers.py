"""Samplers that Optuna lacks for trials that are asked for one by one."""

from typing import Any

from optuna.samplers import BaseSampler, RandomSampler

from trompe.sweeps.space import Space


class Grid(RandomSampler):
    """Every combination of the choices, each once.

    The combinations are put into the study's queue when it is made, so that several workers share
    them. (Optuna's own `GridSampler` ends a study by a call that needs `Study.optimize`.)
    """

    def plan(self, space: Space) -> list[dict[str, Any]]:
        """Parameters of all trials.

        Raises:
            UserError: if a dimension is an interval.
        """
        return space.combinations()


class Automatic:
    """A choice between two samplers.

    Args:
        finite: for a space of choices and ranges, if all its combinations are to be trained.
        otherwise: for any other.
    """

    def __init__(self, finite: BaseSampler, otherwise: BaseSampler) -> None:
        self.finite = finite
        self.otherwise = otherwise

    def choose(self, space: Space, n_trials: int | None) -> BaseSampler:
        """The sampler for a space and a number of trials; None stands for as many as it takes."""
        if not space.is_listed:
            return self.otherwise
        size = space.size
        assert size is not None
        return self.finite if n_trials is None or n_trials >= size else self.otherwise
