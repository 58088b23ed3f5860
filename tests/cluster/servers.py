"""A real SLURM and a real PostgreSQL on this machine, in a folder, for as long as tests need them.

Debian: ``apt-get install slurm-wlm munge postgresql``. Those that may run on this machine are left
alone: ports, sockets, keys and files are the tests' own.
"""

import getpass
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/lib/postgresql/15/bin")

_SLURM_CONF = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
KillWait=5
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=2000 State=UNKNOWN
PartitionName=tests Nodes={host} Default=YES MaxTime=INFINITE OverSubscribe=FORCE:4 State=UP
"""


def find(names: Sequence[str]) -> dict[str, str]:
    """Paths of programs; a test that needs a missing one is skipped."""
    path = os.pathsep.join([os.environ["PATH"], *_FOLDERS])
    found = {name: shutil.which(name, path=path) for name in names}
    missing = [name for name, where in found.items() if where is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    return {name: str(where) for name, where in found.items()}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def daemon(command: Sequence[str], log: Path, **options: object) -> Iterator[subprocess.Popen]:
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.1)


def output_of(*command: str, **options: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """A cluster of one node with eight CPUs; the environment that its commands need."""
    programs = find(["munged", "slurmctld", "slurmd", "srun", "sbatch", "scancel", "squeue"])
    for name in ("state", "spool"):
        (folder / name).mkdir()
    folder.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    conf = folder / "slurm.conf"
    conf.write_text(
        _SLURM_CONF.format(
            host=socket.gethostname().partition(".")[0],
            user=getpass.getuser(),
            folder=folder,
            controller_port=free_port(),
            node_port=free_port(),
        )
    )
    env = {**os.environ, "SLURM_CONF": str(conf)}
    munged = [programs["munged"], "--foreground", "--force", f"--key-file={key}"]
    munged += [f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid"]
    munged += [f"--log-file={folder}/munged.log", f"--seed-file={folder}/munge.seed"]
    with ExitStack() as stack:
        stack.enter_context(daemon(munged, folder / "munged.out"))
        wait_for((folder / "munge.socket").exists, "munged")
        for name in ("slurmctld", "slurmd"):
            stack.enter_context(daemon([programs[name], "-D"], folder / f"{name}.out", env=env))

        def is_idle() -> bool:
            command = ["sinfo", "--noheader", "--format=%T"]
            return "idle" in subprocess.run(command, env=env, capture_output=True, text=True).stdout

        wait_for(is_idle, f"a node: {folder}/slurmctld.log")
        yield env
        subprocess.run(["scancel", f"--user={getpass.getuser()}", "--signal=KILL"], env=env)


@contextmanager
def postgresql() -> Iterator[str]:
    """A server without databases but its own; its URL, to which a database's name is added."""
    # Not in pytest's folders, which only their owner may enter.
    with tempfile.TemporaryDirectory(prefix="postgresql") as name:
        yield from _postgresql(Path(name))


def _postgresql(folder: Path) -> Iterator[str]:
    programs = find(["initdb", "postgres", "psql"])
    who: dict[str, object] = {"cwd": folder}
    if os.geteuid() == 0:  # which PostgreSQL refuses
        try:
            account = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL refuses root, and there is no account postgres")
        shutil.chown(folder, account.pw_uid, account.pw_gid)
        who |= {"user": account.pw_uid, "group": account.pw_gid}
    data, port = folder / "data", free_port()
    output_of(
        *(programs["initdb"], "--pgdata", str(data), "--username=trompe", "--auth=trust"),
        *("--no-sync", "--encoding=UTF8", "--locale=C"),
        **who,
    )
    command = [programs["postgres"], "-D", str(data), "-p", str(port), "-k", str(folder)]
    command += ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
    with daemon(command, folder / "postgres.log", **who):
        url = f"postgresql://trompe@127.0.0.1:{port}"

        def answers() -> bool:
            psql = [programs["psql"], f"{url}/postgres", "--command=select 1"]
            return subprocess.run(psql, capture_output=True).returncode == 0

        wait_for(answers, "PostgreSQL")
        yield url


def make_database(url: str, name: str) -> str:
    """A new, empty database; its URL."""
    psql = find(["psql"])["psql"]
    output_of(psql, f"{url}/postgres", f"--command=create database {name}")
    return f"{url}/{name}"
