"""Which process of a run this one is: the only place that reads it from the environment.

A run of one process has one, whatever the environment says: variables are inherited by all that a
job starts, and stay behind in shells. Several are started by torchrun, by srun, or by the first of
them. The environment has to agree with ``trainer.devices`` times ``trainer.num_nodes``.
"""

import os
from collections.abc import Mapping

from pytorch_lightning.plugins.environments import ClusterEnvironment, SLURMEnvironment
from pytorch_lightning.utilities.rank_zero import rank_zero_only as lightning_rank_zero_only
from torch.distributed import TCPStore  # type: ignore[attr-defined]
from torchmetrics.utilities.prints import rank_zero_only as torchmetrics_rank_zero_only

from trompe.engine.parent import LOCAL_RANK, TASKS
from trompe.errors import UserError

_HERE = "trompe/here"
_TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Processes(ClusterEnvironment):
    """The processes of a run, and which one this is.

    Args:
        count: how many there are, on all machines.
        rank: number of this one, from 0; the first one writes the run folder.
        local_rank: number on its machine.
        node_rank: number of its machine.
        address: where they meet.
        port: the same; 0 is any that is free.
        are_started: whether something else starts them all, so that the first does not.
    """

    def __init__(
        self,
        count: int = 1,
        rank: int = 0,
        local_rank: int = 0,
        node_rank: int = 0,
        address: str = "127.0.0.1",
        port: int = 0,
        are_started: bool = True,
    ) -> None:
        super().__init__()
        self.count = count
        self.rank = rank
        self.are_started = are_started
        self.store: TCPStore | None = None  # where they meet, if this one has opened that
        self._local_rank, self._node_rank = local_rank, node_rank
        self._address, self._port = address, port

    @property
    def is_first(self) -> bool:
        """Whether this one writes the run folder, prints, and tells the trackers."""
        return self.rank == 0

    @property
    def main_address(self) -> str:
        """The machine where they meet."""
        return self._address

    @property
    def main_port(self) -> int:
        """The port there."""
        return self.store.port if self.store is not None else self._port

    @property
    def creates_processes_externally(self) -> bool:
        """As `are_started`, for Lightning."""
        return self.are_started

    @staticmethod
    def detect() -> bool:
        """Lightning is given this environment and need not look for it."""
        return False

    def open(self) -> None:
        """Open the place where they meet, at a free port, which is this process's from now on."""
        self.store = TCPStore(
            self._address, 0, self.count, True, wait_for_workers=False, multi_tenant=True
        )

    def arrive(self) -> None:
        """Tell the first process, which has opened that place, that this one is there."""
        TCPStore(self._address, self._port, self.count, False).set(f"{_HERE}/{self.rank}", "")

    def are_there(self) -> bool:
        """Whether all others have arrived."""
        assert self.store is not None
        return bool(self.store.check([f"{_HERE}/{rank}" for rank in range(1, self.count)]))

    def world_size(self) -> int:
        """As `count`."""
        return self.count

    def global_rank(self) -> int:
        """As `rank`."""
        return self.rank

    def local_rank(self) -> int:
        """Number of this process on its machine."""
        return self._local_rank

    def node_rank(self) -> int:
        """Number of this machine."""
        return self._node_rank

    def set_world_size(self, size: int) -> None:
        """It is known already."""
        assert size == self.count

    def set_global_rank(self, rank: int) -> None:
        """It is known already; a scheduler may number processes in another order."""


def find_processes(
    devices: int, num_nodes: int, environment: Mapping[str, str] = os.environ
) -> Processes:
    """The processes of a run with these settings of the trainer, and which one this is.

    Raises:
        UserError: if torchrun or srun started another number of processes, or nothing started
            those of other machines.
    """
    found = _find(devices, num_nodes, environment)
    # For the warnings of these two, and for trackers.
    for only in (lightning_rank_zero_only, torchmetrics_rank_zero_only):
        only.rank = found.rank  # type: ignore[union-attr]
    return found


def _find(devices: int, num_nodes: int, environment: Mapping[str, str]) -> Processes:
    count = devices * num_nodes
    if (tasks := int(environment.get(TASKS, count))) != count:
        rank = int(environment.get("SLURM_PROCID", 0))
        raise _disagree(tasks, "tasks of this job train one run", devices, num_nodes, rank)
    if count == 1:
        return Processes()
    if LOCAL_RANK in environment:
        rank = int(environment[LOCAL_RANK])
        address, port = environment["MASTER_ADDR"], int(environment["MASTER_PORT"])
        return Processes(count, rank, rank, 0, address, port)
    if "TORCHELASTIC_RUN_ID" in environment and all(key in environment for key in _TORCHRUN):
        return _of_torchrun(devices, num_nodes, environment)
    if _is_task(count, environment):
        return _of_srun(devices, num_nodes, environment)
    if num_nodes > 1:
        raise UserError(
            f"trainer.num_nodes={num_nodes}, but nothing started this run on other machines: use "
            "torchrun on each of them, or srun"
        )
    return Processes(count, are_started=False)


def _of_torchrun(devices: int, num_nodes: int, environment: Mapping[str, str]) -> Processes:
    count, rank, local_rank = (int(environment[k]) for k in ("WORLD_SIZE", "RANK", "LOCAL_RANK"))
    if count != devices * num_nodes:
        raise _disagree(count, "processes were started by torchrun", devices, num_nodes, rank)
    node_rank = int(environment.get("GROUP_RANK", 0))
    address, port = environment["MASTER_ADDR"], int(environment["MASTER_PORT"])
    return Processes(count, rank, local_rank, node_rank, address, port)


def _is_task(count: int, environment: Mapping[str, str]) -> bool:
    """Whether srun started this process as one of several.

    A batch script is not started by srun, and what runs in an interactive shell is not, though
    the shell was: `srun -n 4 --pty bash`.
    """
    tasks = int(environment.get("SLURM_STEP_NUM_TASKS", 1))
    if tasks == 1 or "SLURM_PROCID" not in environment:
        return False
    if environment.get("SLURM_TASK_PID") == str(os.getpid()):
        return True
    if "SLURM_PTY_PORT" in environment:
        return False
    return tasks == count or environment.get("SLURM_JOB_NAME") not in ("bash", "interactive")


def _of_srun(devices: int, num_nodes: int, environment: Mapping[str, str]) -> Processes:
    count, rank = int(environment["SLURM_STEP_NUM_TASKS"]), int(environment["SLURM_PROCID"])
    if count != devices * num_nodes:
        raise _disagree(count, "tasks were started by srun", devices, num_nodes, rank)
    nodes = environment.get("SLURM_STEP_NODELIST", "127.0.0.1")
    address = environment.get("MASTER_ADDR", SLURMEnvironment.resolve_root_node_address(nodes))
    # The steps of a job may run at the same time, and so may jobs on one machine.
    job, step = (int(environment.get(key, 0)) for key in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    port = int(environment.get("MASTER_PORT", 15000 + (job * 61 + step) % 16000))
    local_rank, node_rank = (int(environment.get(f"SLURM_{k}", 0)) for k in ("LOCALID", "NODEID"))
    return Processes(count, rank, local_rank, node_rank, address, port)


def _disagree(count: int, what: str, devices: int, num_nodes: int, rank: int) -> UserError:
    each, rest = divmod(count, num_nodes)
    advice = f"trainer.devices={each}" if each and not rest else f"trainer.devices={count}"
    if num_nodes > 1 and (rest or not each):
        advice += " trainer.num_nodes=1"
    error = UserError(
        f"{count} {what}, but trainer.devices={devices} times trainer.num_nodes={num_nodes} are "
        f"{devices * num_nodes}: set {advice}, or start {devices * num_nodes}"
    )
    error.is_told = rank != 0  # all of them find this; the first says it
    return error
