"""Processes of a run that end before the others, and environments that say what is not so."""

import os
import queue
import signal
import socket
import sys
from pathlib import Path

import psutil
import pytest

from tests.conftest import FAMILIES, TINY, Trompe, beginning_of, the_line, wait
from tests.warm import CONTEXT, Process
from trompe.engine import launcher
from trompe.engine.processes import Processes
from trompe.errors import AnotherProcess
from trompe.runs.run_folder import RunFolder
from trompe.training.recorded import end_at_once

TWO = ["train", *TINY, *FAMILIES["mlp_gan"], "trainer=ddp_cpu", "trainer.precision=32-true"]
LONG = [*TWO, "kimg=100"]
# An independent run in one step of SLURM, in a shell where torchrun was tried.
SECOND = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "SLURM_PROCID": "1"}
SECOND |= {"SLURM_NTASKS": "2", "SLURM_JOB_ID": "7", "SLURM_STEP_NUM_TASKS": "2"}


@pytest.fixture
def login_node(trompe: Trompe) -> Trompe:
    """Where `srun` is on the path."""
    srun = trompe.folder / "bin" / "srun"
    srun.parent.mkdir()
    srun.write_text("#!/bin/sh\n")
    srun.chmod(0o755)
    trompe.env["PATH"] = f"{srun.parent}:{os.environ['PATH']}"
    return trompe


@pytest.mark.parametrize("arguments", [["trainer=cpu"], ["trainer=ddp_cpu"]], ids=["one", "two"])
def test_a_run_is_whole_whatever_is_left_in_the_environment(login_node, arguments):
    left = {k: v for k, v in SECOND.items() if k != "SLURM_STEP_NUM_TASKS"}
    loggers = ["logger=[csv]", "kimg=0.096", *arguments]
    done = login_node(*TWO, *loggers, **(SECOND if "trainer=cpu" in arguments else left))
    assert done.stderr == ""
    (run,) = login_node.runs()
    assert run.read_facts()["status"] == "done"
    assert [record["tick"] for record in run.read_metrics()] == [1, 2]
    assert run.last_checkpoint.is_file() and list((run.path / "samples").glob("*.png"))
    (table,) = run.path.rglob("*.csv")
    assert len(table.read_text().splitlines()) == 3


def test_numbers_that_disagree_are_one_line(trompe):
    environment = {**SECOND, "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "4"}
    told = trompe.fails(*TWO, **environment)
    assert "4 tasks were started by srun, but trainer.devices=2 times trainer.num_nodes=1" in told
    assert trompe.runs() == []


def ticks(run: RunFolder) -> int:
    return len(run.read_metrics())


def start(trompe: Trompe):
    """A run of two processes in its second tick, and the process that is not the first."""
    known = {process.pid for process in psutil.process_iter()}
    process = trompe.start(*LONG)
    wait(lambda: process.poll() is not None or any(map(ticks, trompe.runs())))
    assert process.poll() is None, process.communicate()
    mark = f"TROMPE_OUTPUT_DIR={trompe.outputs}".encode()
    found = []
    for other in psutil.process_iter():
        if other.pid in known:
            continue
        try:
            environment = Path(f"/proc/{other.pid}/environ").read_bytes().split(b"\0")
        except OSError:  # another test's, which has ended
            continue
        if mark in environment and b"TROMPE_LOCAL_RANK=1" in environment:
            found.append(other)
    (second,) = found
    return process, second


def test_a_process_that_is_killed_ends_the_run_with_one_line(trompe):
    process, second = start(trompe)
    second.kill()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err == "trompe: process 1 died (signal 9)\n"
    (run,) = trompe.runs()
    facts = run.read_facts()
    assert (facts["status"], facts["error"]) == ("failed", "process 1 died (signal 9)")
    trompe("train", f"run={run.path}", f"kimg={facts['kimg'] + 0.048:g}")
    assert run.read_facts()["status"] == "done" and run.read_facts()["error"] is None


def test_sigterm_of_any_process_interrupts_the_run(trompe):
    process, second = start(trompe)
    second.terminate()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    (run,) = trompe.runs()
    assert run.read_facts()["status"] == "interrupted"
    assert f"interrupted; resume it with: trompe train run={run.path}" in out
    assert err == "trompe: interrupted\n"


def test_no_process_outlives_the_first(trompe):
    process, second = start(trompe)
    process.kill()
    process.communicate(timeout=60)
    second.wait(10)


def start_tasks(trompe: Trompe, *arguments: list[str]) -> list[Process]:
    """One process for each list, as srun starts them."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    common = {"SLURM_STEP_NUM_TASKS": str(len(arguments)), "MASTER_PORT": port}
    return [
        trompe.start(*words, **common, SLURM_PROCID=str(i), SLURM_LOCALID=str(i))
        for i, words in enumerate(arguments)
    ]


@pytest.mark.parametrize(
    ("how", "status", "code", "told"),
    [
        (signal.SIGKILL, "failed", 2, "trompe: another process died\n"),
        (signal.SIGTERM, "interrupted", 130, "trompe: interrupted\n"),
    ],
)
def test_a_task_that_ends_ends_the_others(trompe, how, status, code, told):
    first, second = start_tasks(trompe, LONG, LONG)
    wait(lambda: any(task.poll() for task in (first, second)) or any(map(ticks, trompe.runs())))
    second.send_signal(how)
    _, err = first.communicate(timeout=60)
    assert (first.returncode, err) == (code, told)
    assert second.communicate(timeout=60)[1] == ""
    (run,) = trompe.runs()
    assert run.read_facts()["status"] == status


def test_tasks_that_would_do_different_things_are_refused(trompe):
    trompe(*TWO, "kimg=0.096", "trainer=cpu")
    (run,) = trompe.runs()
    resumes = ["train", f"run={run.path}", "kimg=0.192", "trainer=ddp_cpu"]
    first, second = start_tasks(trompe, resumes, TWO)
    assert the_line(first.communicate(timeout=60)[1]) == (
        "trompe: rank 1: this process would start a new run, but the first one would resume "
        f"{run.path.name}: start all with the same command, where all see the same output folder"
    )
    assert second.communicate(timeout=60)[1] == ""
    assert (first.returncode, second.returncode) == (2, 2)
    assert len(trompe.runs()) == 1


@pytest.mark.parametrize(
    ("code", "kind", "told"),
    [
        ("import os; os.kill(os.getpid(), 9)", AnotherProcess, "process 1 died (signal 9)"),
        ("raise SystemExit(3)", AnotherProcess, "process 1 ended with exit code 3"),
        ("raise SystemExit(130)", KeyboardInterrupt, ""),
    ],
)
@pytest.mark.parametrize("is_early", [True, False])
def test_a_process_that_waits_for_one_that_has_ended_ends(monkeypatch, code, kind, told, is_early):
    """Before the first batch, or later where it waits for its GPU: no signal reaches it there."""
    command = [sys.executable, "-IS", "-c", code]
    monkeypatch.setattr(launcher, "_hydra_subprocess_cmd", lambda rank: (command, "/"))
    monkeypatch.setattr(launcher, "_PATIENCE", 0.1)
    monkeypatch.setattr(Processes, "are_there", lambda self: not is_early)
    processes = launcher.Launcher(Processes(2, are_started=False), 2, 1)
    ends: queue.Queue = queue.Queue()
    processes.on_hang = ends.put
    if is_early:
        with pytest.raises(kind) as caught:
            processes.launch(ends.get)
        end = caught.value
    else:
        end = processes.launch(ends.get)
    assert isinstance(end, kind) and str(end) == told
    processes.end()


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (AnotherProcess("process 1 died (signal 9)"), 2, "failed"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_an_end_from_another_thread_is_recorded(tmp_path, error, code, status):
    run = RunFolder(tmp_path / "run")
    run.create({}, [], {})
    process = CONTEXT.Process(target=end_at_once, args=(beginning_of(run), error))
    process.start()
    process.join()
    assert process.exitcode == code
    assert run.read_facts()["status"] == status
    assert run.read_facts()["error"] == (str(error) or None)
