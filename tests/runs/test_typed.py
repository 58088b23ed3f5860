"""Paths and pipes as people use them, in real processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import FAMILIES, TINY, Trompe
from tests.runs.test_evaluate import RANDOM, pictures
from tests.warm import _server


def test_a_folder_of_any_name_is_read_and_written(trompe: Trompe) -> None:
    home = trompe.folder / "home"
    images = pictures(home / "Bilder ä (1)", 40, 0)
    env = {"HOME": str(home)}
    arguments = [*(o for o in TINY if not o.startswith("data")), *FAMILIES["mlp_gan"]]
    path, output = "data.path=~/Bilder ä (1)", "paths.output_dir=~/it's a=b"
    folder = ["data=folder", path, "data.resolution=16", output]
    trompe("train", *arguments, *folder, "kimg=0.048", "name=2024", **env)
    (file,) = home.glob("it's a=b/2024/*/run.json")
    assert not (trompe.folder / "~").exists()
    # What was typed is recorded, and what it was composed from composes again.
    assert path in json.loads(file.read_text())["command"]
    recorded = yaml.safe_load((file.parent / "overrides.yaml").read_text())
    assert "data.path='~/Bilder ä (1)'" in recorded
    trompe("train", f"run={file.parent}", "kimg=0.096", "seed=0", **env)
    assert json.loads(file.read_text())["kimg"] == 0.096

    # Nor do commands that take bare words take a folder for an override or a condition.
    (trompe.folder / "runs lr=0.1").symlink_to(file.parent.parent)
    (trompe.folder / "kimg>100").symlink_to(file.parent.parent)
    table = trompe("runs", "runs lr=0.1", "kimg>0.05", "limit=1").stdout
    assert file.parent.name in table
    assert file.parent.name in trompe("runs", "kimg>100", "sort=kimg").stdout
    images.rename(trompe.folder / "Bilder ä")
    out = trompe("evaluate", "generated=Bilder ä", "reference=Bilder ä", *RANDOM, "out=a#b").stdout
    assert "fd_random_conv" in out and (trompe.folder / "a#b").is_file()


def test_training_outlives_whoever_reads_it(trompe: Trompe) -> None:
    arguments = ["train", *TINY, *FAMILIES["mlp_gan"]]
    process = subprocess.Popen(
        [_server(), "-m", "trompe", *arguments],
        cwd=trompe.folder,
        env=trompe.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline().startswith("preparing ")
    assert process.stdout.readline().startswith("run folder: ")
    process.stdout.close()
    process.stderr.close()
    assert process.wait(timeout=120) == 0
    (run,) = trompe.runs()
    assert run.read_facts()["status"] == "done"


@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [
        ("| true", 0, ""),
        (">&-", 0, ""),
        ("<&- >&- 2>&-", 0, ""),
        ("> /dev/full", 1, "trompe: cannot write to stdout: No space left on device\n"),
        ("2> /dev/full", 0, ""),
    ],
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_list_that_nobody_reads_ends_quietly(
    redirection: str, code: int, said: str, unbuffered: str, tmp_path: Path
) -> None:
    script = f'set -o pipefail; "$0" -m trompe --help {redirection}'
    done = subprocess.run(
        ["bash", "-c", script, sys.executable],
        cwd=tmp_path,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": ":".join(sys.path),
            "PYTHONUNBUFFERED": unbuffered,
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (code, said)
