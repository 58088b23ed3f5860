"""Which process of a run this one is: the trainer says it, the environment has to agree."""

import os

import pytest

from trompe.engine.parent import LOCAL_RANK, TASKS, alone
from trompe.engine.processes import Processes, find_processes
from trompe.errors import UserError

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none",
    "RANK": "3",
    "LOCAL_RANK": "1",
    "GROUP_RANK": "1",
    "WORLD_SIZE": "4",
    "MASTER_ADDR": "10.0.0.1",
    "MASTER_PORT": "29500",
}
# As SLURM 22.05 sets them for a task, and for the script of `sbatch --ntasks=2`.
TASK = {
    "SLURM_JOB_ID": "7",
    "SLURM_JOB_NAME": "python",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_NODELIST": "node[3-4]",
    "SLURM_NTASKS": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "1",
    "SLURM_TASK_PID": "1",
}
SCRIPT = {
    "SLURM_JOB_ID": "7",
    "SLURM_JOB_NAME": "job.sh",
    "SLURM_NTASKS": "2",
    "SLURM_PROCID": "0",
    "SLURM_TASK_PID": "1",
}
SHELL = {**TASK, "SLURM_PROCID": "0", "SLURM_JOB_NAME": "bash", "SLURM_PTY_PORT": "4000"}
LEFT_OVER = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "SLURM_PROCID": "1"}


def of(processes: Processes) -> tuple[int, int, int, int, bool]:
    there = processes.count, processes.rank, processes.local_rank(), processes.node_rank()
    return (*there, processes.are_started)


@pytest.mark.parametrize("environment", [{}, TORCHRUN, TASK, SCRIPT, SHELL, LEFT_OVER])
def test_one_process_is_the_first_whatever_the_environment_says(environment):
    assert of(find_processes(1, 1, environment)) == (1, 0, 0, 0, True)


@pytest.mark.parametrize(
    "environment",
    [{}, SCRIPT, SHELL, LEFT_OVER, {**TASK, "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}],
    ids=["nothing", "sbatch", "interactive", "left over", "one task"],
)
def test_processes_that_nothing_has_started_are_started_by_the_first(environment):
    processes = find_processes(2, 1, environment)
    assert of(processes) == (2, 0, 0, 0, False)
    processes.open()
    assert processes.main_port > 0 and not processes.are_there()
    started = {
        **environment,
        LOCAL_RANK: "1",
        "MASTER_ADDR": processes.main_address,
        "MASTER_PORT": str(processes.main_port),
    }
    other = find_processes(2, 1, started)
    assert of(other) == (2, 1, 1, 0, True)
    other.arrive()
    assert processes.are_there()


def test_torchrun():
    processes = find_processes(2, 2, {**TASK, **TORCHRUN})  # within a job, too
    assert of(processes) == (4, 3, 1, 1, True)
    assert (processes.main_address, processes.main_port) == ("10.0.0.1", 29500)


def test_srun():
    processes = find_processes(1, 2, TASK)
    assert of(processes) == (2, 1, 0, 1, True)
    assert processes.main_address == "node3"
    others = [
        find_processes(1, 2, {**TASK, key: "8"}).main_port
        for key in ("SLURM_JOB_ID", "SLURM_STEP_ID")
    ]
    assert len({processes.main_port, *others}) == 3  # steps that run at the same time
    assert find_processes(1, 2, {**TASK, "MASTER_PORT": "9"}).main_port == 9


@pytest.mark.parametrize("environment", [TORCHRUN, TASK])
def test_a_trial_is_none_of_the_processes_that_the_sweep_is_one_of(environment):
    assert of(find_processes(2, 1, alone(environment))) == (2, 0, 0, 0, False)


def test_srun_within_an_interactive_shell():
    task = {**SHELL, "SLURM_PROCID": "1", "SLURM_TASK_PID": str(os.getpid())}
    assert of(find_processes(2, 1, task))[:2] == (2, 1)
    script = {**TASK, "SLURM_JOB_NAME": "bash"}  # srun -n 2 bash train.sh
    assert of(find_processes(2, 1, script))[:2] == (2, 1)
    assert of(find_processes(4, 1, script)) == (4, 0, 0, 0, False)


@pytest.mark.parametrize(
    ("devices", "num_nodes", "environment", "told"),
    [
        (2, 1, TORCHRUN, "4 processes were started by torchrun, but trainer.devices=2 times "),
        (2, 1, TORCHRUN, "trainer.num_nodes=1 are 2: set trainer.devices=4, or start 2"),
        (4, 1, TASK, "2 tasks were started by srun, but trainer.devices=4 times"),
        (2, 4, TASK, "are 8: set trainer.devices=2 trainer.num_nodes=1, or start 8"),
        (1, 1, {TASKS: "2"}, "2 tasks of this job train one run, but trainer.devices=1 times"),
        (2, 2, LEFT_OVER, "trainer.num_nodes=2, but nothing started this run on other machines"),
    ],
)
def test_numbers_that_disagree_are_refused(devices, num_nodes, environment, told):
    with pytest.raises(UserError, match=told):
        find_processes(devices, num_nodes, environment)


@pytest.mark.parametrize(("rank", "is_told"), [("0", False), ("1", True)])
def test_only_the_first_says_that_they_disagree(rank, is_told):
    for environment in ({**TASK, "SLURM_PROCID": rank}, {**TORCHRUN, "RANK": rank}):
        with pytest.raises(UserError) as caught:
            find_processes(3, 1, environment)
        assert caught.value.is_told is is_told
