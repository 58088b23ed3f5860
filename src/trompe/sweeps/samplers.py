"""The sampler that Optuna lacks for trials that are asked for one by one."""

from typing import Any

from optuna.samplers import RandomSampler

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
