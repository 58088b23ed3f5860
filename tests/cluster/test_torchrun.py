"""Two nodes of torchrun on this machine, each a process group of its own."""

import os
import signal
import subprocess
import sys

import pytest
import torch

from tests.cluster.servers import free_port
from tests.conftest import FAMILIES, TINY, Trompe, load, values, wait
from tests.runs.test_ddp import NO_NORM, ODD
from trompe.runs.run_folder import RunFolder

pytestmark = pytest.mark.cluster

GAN = [*TINY, *FAMILIES["dcgan"], *NO_NORM, *ODD, "kimg=1.44"]
TWO_NODES = ["trainer=ddp_cpu", "trainer.devices=1", "trainer.num_nodes=2", "resume=auto"]


def start(trompe: Trompe, *arguments: str) -> list[subprocess.Popen]:
    """One torchrun for each node; what they print is in node0.log and node1.log."""
    port = free_port()
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    torchrun += ["--master-addr=127.0.0.1", f"--master-port={port}"]
    nodes = []
    for rank in range(2):
        command = [*torchrun, f"--node-rank={rank}", "-m", "trompe", "train", *arguments]
        with (trompe.folder / f"node{rank}.log").open("ab") as log:
            nodes.append(
                subprocess.Popen(
                    command,
                    cwd=trompe.folder,
                    env=trompe.env,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
    return nodes


def finish(trompe: Trompe, nodes: list[subprocess.Popen], seconds: float = 240) -> list[int]:
    try:
        return [node.wait(seconds) for node in nodes]
    finally:
        for node in nodes:
            if node.poll() is None:
                os.killpg(node.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, cache) -> RunFolder:
    trompe = Trompe(tmp_path_factory.mktemp("whole"), cache)
    nodes = start(trompe, *GAN, *TWO_NODES)
    log = trompe.folder / "node0.log"
    assert finish(trompe, nodes) == [0, 0], log.read_text()
    (run,) = trompe.runs()
    assert run.read_facts()["sessions"][0]["processes"] == 2
    return run


@pytest.mark.parametrize("killed", [0, 1])
def test_a_node_is_killed_and_the_same_command_resumes(trompe, whole, killed):
    nodes = start(trompe, *GAN, *TWO_NODES)
    wait(
        lambda: (
            any(node.poll() is not None for node in nodes)
            or any(run.last_checkpoint.is_file() for run in trompe.runs())
        ),
        240,
    )
    os.killpg(nodes[killed].pid, signal.SIGKILL)
    codes = finish(trompe, nodes, 120)
    assert codes[killed] == -signal.SIGKILL and codes[1 - killed] > 0
    (run,) = trompe.runs()
    facts = run.read_facts()
    assert facts["kimg"] < 1.44
    if killed == 1:
        assert facts["status"] == "failed" and facts["error"] == "another process died"
        log = (trompe.folder / "node0.log").read_text()
        assert log.count("trompe: another process died") == 1
    assert not run.is_locked()

    nodes = start(trompe, *GAN, *TWO_NODES)
    assert finish(trompe, nodes) == [0, 0], (trompe.folder / "node0.log").read_text()
    (run,) = trompe.runs()
    assert run.read_facts()["status"] == "done"
    assert [session.get("from_kimg", 0) > 0 for session in run.read_facts()["sessions"]] == [
        False,
        True,
    ]
    assert values(run) == values(whole)
    first, second = (load(r.last_checkpoint)["state_dict"] for r in (whole, run))
    for name, weights in first.items():
        assert torch.equal(weights, second[name]), name


def test_numbers_that_disagree_are_one_line(trompe):
    nodes = start(trompe, *GAN, "trainer=ddp_cpu", "trainer.devices=2", "trainer.num_nodes=2")
    assert all(code > 0 for code in finish(trompe, nodes, 120))
    logs = "".join((trompe.folder / f"node{rank}.log").read_text() for rank in range(2))
    told = "2 processes were started by torchrun, but trainer.devices=2 times trainer.num_nodes=2"
    assert logs.count(told) == 1
    assert trompe.runs() == []
