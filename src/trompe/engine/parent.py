"""Processes that end with the one that started them, and what their environment tells them."""

import ctypes
import signal
from collections.abc import Mapping

LOCAL_RANK = "TROMPE_LOCAL_RANK"  # of a process that the first one of its run has started
TASKS = "TROMPE_TASKS"  # how many tasks of a job are to be one run
# By these a process knows that it was started as one of several.
_STARTED = (LOCAL_RANK, TASKS, "TORCHELASTIC_RUN_ID", "SLURM_STEP_NUM_TASKS")

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # prctl(2)


def die_with_parent() -> None:
    """Have this process end with its parent: it would train with nobody to record or end it."""
    if hasattr(_LIBC, "prctl"):  # Linux
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def alone(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that is none of those that this one was started with."""
    return {key: value for key, value in environment.items() if key not in _STARTED}
