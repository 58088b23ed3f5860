"""Sweeps and runs on a real SLURM of one machine, without accounting."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.cluster.servers import output_of
from tests.conftest import FAMILIES, TINY, Trompe, difference, load, wait
from tests.runs.test_ddp import NO_NORM, ODD
from tests.runs.test_resume import RESULT
from tests.runs.test_sweep import table_of, the_sweep
from trompe.runs.index import find_runs
from trompe.runs.run_folder import RunFolder

pytestmark = pytest.mark.cluster

GAN = [*TINY, *FAMILIES["mlp_gan"]]
TRAIN = [sys.executable, "-m", "trompe", "train"]
SWEEP = ["sweep", *GAN, "sampler=grid", "objective=loss/generator", "launcher=submitit"]
# 100 ticks, of which each has a checkpoint and none is measured.
LONG = ["kimg=4.8", "evaluation.every_kimg=1000", "samples.every_kimg=1000"]

SLOW = """
import time
from pytorch_lightning import Callback
class Slow(Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if batch_idx % 10 == 0:
            time.sleep(0.2)
"""


def shell(trompe: Trompe, *command: str) -> str:
    return output_of(*command, cwd=trompe.folder, env=trompe.env, timeout=300)


def runs_of(trompe: Trompe) -> list[RunFolder]:
    return find_runs(trompe.outputs)


def wait_for_checkpoint(trompe: Trompe, process: subprocess.Popen, count: int = 1) -> None:
    def saved() -> bool:
        return sum(run.last_checkpoint.is_file() for run in runs_of(trompe)) >= count

    wait(lambda: process.poll() is not None or saved(), 240)
    assert process.poll() is None, process.communicate()


def test_a_job_that_is_canceled_is_left_and_resumed(on_cluster):
    trompe = on_cluster
    values = "model.optimizer.lr=1e-4,2e-4"
    process = trompe.start_afresh(*SWEEP, *LONG, values, "jobs=2")
    wait_for_checkpoint(trompe, process, 2)
    jobs = shell(trompe, "squeue", "--noheader", "--format=%A %j").split("\n")
    first = min(int(line.split()[0]) for line in jobs if "trompe" in line)
    shell(trompe, "scancel", str(first))
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "trial 0 was stopped from outside; resume= resumes it" in out
    assert "sacct" not in out + err and "Warning" not in err
    folder = the_sweep(trompe)
    assert [row["state"] for row in table_of(folder)] == ["running", "done"]
    assert runs_of(trompe)[0].read_facts()["status"] == "interrupted"

    trompe("sweep", f"resume={folder.path}")
    assert [row["state"] for row in table_of(folder)] == ["done", "done"]
    runs = runs_of(trompe)
    assert [len(run.read_facts()["sessions"]) for run in runs] == [2, 1]
    assert runs[0].read_facts()["sessions"][1]["from_kimg"] > 0


def test_a_job_that_runs_out_of_time_waits_again_and_resumes(on_cluster):
    """SLURM warns it, submitit puts it back into the queue; the same weights come out.

    That takes minutes: SLURM warns after one of two, and lets the job wait for two more. The trial
    sleeps at each tick, so that no machine is done before the warning.
    """
    trompe = on_cluster
    (trompe.folder / "slow.py").write_text(SLOW)
    trompe.env["PYTHONPATH"] = f"{trompe.folder}:{os.environ.get('PYTHONPATH', '')}"
    arguments = [*LONG, "kimg=60", "tick_kimg=0.48", "model.optimizer.lr=2e-4"]
    whole = trompe.start_afresh("train", *GAN, *arguments, "paths.output_dir=whole")
    short = ["launcher.parameters.timeout_min=2", "+launcher.parameters.slurm_signal_delay_s=30"]
    slow = "+callbacks.slow._target_=slow.Slow"
    process = trompe.start_afresh(*SWEEP, *arguments, *short, slow, "seed=choice(0)")
    _, err = process.communicate(timeout=900)
    assert process.returncode == 0, err
    assert [row["state"] for row in table_of(the_sweep(trompe))] == ["done"]
    (run,) = runs_of(trompe)
    assert len(run.read_facts()["sessions"]) > 1
    _, err = whole.communicate(timeout=900)
    assert whole.returncode == 0, err
    (reference,) = find_runs(trompe.folder / "whole")
    a, b = load(reference.last_checkpoint), load(run.last_checkpoint)
    assert difference({k: a[k] for k in RESULT}, {k: b[k] for k in RESULT}) is None


def test_the_tasks_of_a_job_are_the_processes_of_a_trial(on_cluster):
    trompe = on_cluster
    gan = [*TINY, *FAMILIES["dcgan"], *NO_NORM, *ODD]
    two = ["launcher=submitit", "+launcher.parameters.tasks_per_node=2"]
    sweep = ["sweep", *gan, "sampler=grid", "objective=loss/generator", "seed=choice(0)", *two]
    trompe(*sweep, "trainer=ddp_cpu")
    (run,) = runs_of(trompe)
    assert run.read_facts()["sessions"][0]["processes"] == 2
    assert run.read_facts()["status"] == "done"
    trompe("train", *gan, "paths.output_dir=one")
    (one,) = find_runs(trompe.folder / "one")
    first, second = (load(r.last_checkpoint)["state_dict"] for r in (one, run))
    for name, weights in first.items():
        torch_close(weights, second[name])

    done = trompe(*sweep, code=2)  # two tasks, and a run of one process: not trained twice
    assert "no trial" in done.stderr
    log = max(trompe.outputs.glob("sweeps/*/trials/0000/stderr.log"))
    (line,) = log.read_text().splitlines()
    assert "2 tasks of this job train one run, but trainer.devices=1 times" in line
    assert [found.path for found in runs_of(trompe)] == [run.path]


def torch_close(a, b) -> None:
    import torch

    torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_two_tasks_without_tasks_per_node(on_cluster):
    """In a batch script, and started by srun there."""
    trompe = on_cluster
    script = trompe.folder / "job.sh"
    train = " ".join(f"'{word}'" for word in [*TRAIN, *GAN, "trainer=ddp_cpu"])
    script.write_text(f"#!/bin/bash\n{train} name=a_script && srun {train} name=b_step\n")
    log = trompe.folder / "job.log"
    try:
        shell(trompe, "sbatch", "--wait", "--ntasks=2", f"--output={log}", str(script))
    except AssertionError:
        pytest.fail(log.read_text())
    runs = runs_of(trompe)
    assert [run.path.parent.name for run in runs] == ["a_script", "b_step"]
    for run in runs:
        assert run.read_facts()["status"] == "done"
        assert run.read_facts()["sessions"][0]["processes"] == 2
    assert log.read_text().count("run folder: ") == 2
    assert "Warning" not in log.read_text()


def test_tasks_that_are_independent_runs(on_cluster):
    trompe = on_cluster
    words = " ".join(f"'{word}'" for word in [*TRAIN, *GAN, "logger=[csv]"])
    shell(trompe, "srun", "-n", "2", "bash", "-c", f"{words} seed=$SLURM_PROCID")
    runs = runs_of(trompe)
    assert sorted(run.read_config()["seed"] for run in runs) == [0, 1]
    for run in runs:
        assert run.read_facts()["status"] == "done"
        assert len(run.read_metrics()) == 4
        assert list((run.path / "samples").glob("*.png")) and run.last_checkpoint.is_file()
        assert (run.path / "metrics.csv").is_file()


def test_numbers_that_disagree_are_one_line(on_cluster):
    trompe = on_cluster
    command = ["srun", "-n", "3", *TRAIN, *GAN, "trainer=ddp_cpu"]
    done = subprocess.run(
        command, cwd=trompe.folder, env=trompe.env, capture_output=True, text=True
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("trompe: ")]
    assert len(lines) == 1 and "3 tasks were started by srun, but trainer.devices=2" in lines[0]
    assert done.returncode == 2 and runs_of(trompe) == []


@pytest.mark.parametrize(
    ("how", "rank", "status", "code"),
    [
        (signal.SIGKILL, 1, "failed", 2),
        (signal.SIGTERM, 1, "interrupted", 130),
        (signal.SIGTERM, 0, "interrupted", 130),
    ],
)
def test_a_task_that_ends_ends_the_run(on_cluster, how, rank, status, code):
    trompe = on_cluster
    command = ["srun", "-n", "2", *TRAIN, *GAN, *LONG, "kimg=480", "trainer=ddp_cpu"]
    process = subprocess.Popen(
        command,
        cwd=trompe.folder,
        env=trompe.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_checkpoint(trompe, process)
    task_of(trompe, rank).send_signal(how)
    out, err = process.communicate(timeout=120)
    (run,) = runs_of(trompe)
    facts = run.read_facts()
    assert facts["status"] == status, err
    assert process.returncode in (code, 128 + how), err
    if how == signal.SIGKILL:
        assert facts["error"] == "another process died"
        assert [line for line in err.splitlines() if line.startswith("trompe")] == [
            "trompe: another process died"
        ]
    else:
        assert f"resume it with: trompe train run={run.path}" in out
        assert err.count("trompe: interrupted") == 1
    assert "Traceback" not in err


def task_of(trompe: Trompe, rank: int) -> psutil.Process:
    wanted = {f"SLURM_PROCID={rank}", f"TROMPE_OUTPUT_DIR={trompe.outputs}"}
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        words = process.cmdline()
        if "trompe" in words and Path(words[0]).name != "srun":
            found = Path(f"/proc/{process.pid}/environ").read_bytes().decode().split("\0")
            if wanted <= set(found):
                return process
    raise AssertionError(f"no task {rank}")
