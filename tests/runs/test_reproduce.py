"""Reproducing a run from its folder."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

import trompe as package
from tests.conftest import FAMILIES, TINY, Trompe
from trompe.command import config_dir
from trompe.runs.differences import differing_tensor, first_difference
from trompe.runs.run_folder import RunFolder
from trompe.tasks import reproduce as reproduction
from trompe.tasks.again import Found, comparable
from trompe.tasks.reproduce_seeds import interval

SOURCE = Path(package.__file__).resolve().parents[2]


def verdict_of(run: RunFolder) -> dict:
    return json.loads(sorted((run.path / "reproductions").glob("*.json"))[-1].read_text())


@pytest.fixture
def run(trompe: Trompe) -> RunFolder:
    trompe("train", *TINY, *FAMILIES["dcgan"])
    return trompe.runs()[-1]


def test_the_same_run_is_bitwise_equal(trompe: Trompe, run: RunFolder) -> None:
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    done = trompe("reproduce", str(run.path))
    assert "verdict: bitwise equal: records and weights of 4 ticks" in done.stdout
    verdict = verdict_of(run)
    assert verdict["weights"] == "bitwise equal" and verdict["environment"] == []
    assert "(L0: bitwise on the same machine and build)" in done.stdout
    assert verdict["level"] == "L0" and verdict["first_tensor"] is None
    assert {path: path.read_bytes() for path in before} == before
    assert RunFolder(Path(verdict["run"])).read_facts()["parent"]["run"] == str(run.path)


def test_some_ticks_of_a_run_that_was_interrupted(trompe: Trompe, run: RunFolder) -> None:
    run.rewind(0.144)
    run.last_checkpoint.unlink()
    done = trompe("reproduce", str(run.path), "ticks=2")
    assert "verdict: bitwise equal: records of 2 ticks" in done.stdout


def test_a_change_of_one_line_in_a_loss_is_found(trompe: Trompe, run: RunFolder) -> None:
    copy = trompe.folder / "copy"
    shutil.copytree(SOURCE / "src" / "trompe", copy / "src" / "trompe")
    shutil.copytree(SOURCE / "conf", copy / "conf")
    losses = copy / "src" / "trompe" / "losses" / "adversarial.py"
    text = losses.read_text()
    line = "return softplus(-fake.float()).mean()"
    assert line in text
    losses.write_text(text.replace(line, "return 1.001 * softplus(-fake.float()).mean()", 1))
    message = trompe.fails("reproduce", str(run.path), PYTHONPATH=str(copy / "src"))
    assert "was not reproduced: tick 1 (0.048 kimg): loss/generator" in message
    assert "; first tensor at 0.048 kimg: generator." in message
    assert verdict_of(run)["level"] is None
    first = verdict_of(run)["first_difference"]
    assert first["tick"] == 1 and 0 < first["relative"] < 0.01
    # The commit is another as well: the copy is no checkout.
    assert any(line.startswith("code: ") for line in verdict_of(run)["environment"])
    done = trompe("reproduce", str(run.path), "tolerance=0.5", PYTHONPATH=str(copy / "src"))
    assert "verdict: equal within 0.5" in done.stdout


def test_the_recorded_code_is_run_with_its_uncommitted_changes(trompe: Trompe) -> None:
    copy = trompe.folder / "checkout"
    for part in ("src/trompe", "conf"):
        shutil.copytree(SOURCE / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))

    def git(*arguments: str) -> None:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", "-C", str(copy), *who, *arguments], check=True, capture_output=True)

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "as it is")
    losses = copy / "src" / "trompe" / "losses" / "adversarial.py"
    text = losses.read_text()
    losses.write_text(text.replace("softplus(-fake.float())", "1.5 * softplus(-fake.float())", 1))
    path = {"PYTHONPATH": str(copy / "src")}
    trompe("train", *TINY, *FAMILIES["mlp_gan"], "kimg=0.096", **path)
    (run,) = trompe.runs()
    assert "+" in run.read_facts()["code"]["dirty_diff"]
    git("checkout", ".")
    message = trompe.fails("reproduce", str(run.path), **path)
    assert "was not reproduced: tick 1" in message
    assert any("code: the uncommitted changes" in line for line in verdict_of(run)["environment"])
    arguments = ["reproduce", str(run.path), "code=recorded"]
    asked = trompe(*arguments, code=2, **path)
    assert "1.5 * softplus" in asked.stdout and "set trust=true" in asked.stderr
    done = trompe(*arguments, "trust=true", **path)
    assert "verdict: bitwise equal: records and weights of 2 ticks" in done.stdout
    listed = subprocess.run(["git", "-C", str(copy), "worktree", "list"], capture_output=True)
    assert len(listed.stdout.splitlines()) == 1


def test_what_surrounds_a_run_is_told(trompe: Trompe, run: RunFolder) -> None:
    packages = {**run.read_facts()["packages"], "torch": "1.0"}
    run.update_facts(packages=packages, data_fingerprint="0" * 32)
    out = trompe("reproduce", str(run.path), "ticks=1").stdout
    assert "environment: torch was 1.0 and is" in out
    assert "(L1: bitwise on another build)" in out
    assert f"data: their content hash was {'0' * 32} and is" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no run folder at nowhere"),
        (["."], "is not a run folder"),
        ([".", "ticks=0"], "ticks=0 must be a whole number"),
        ([".", "code=old"], "code=old is neither current nor recorded"),
        ([".", "tolerance=-1"], "tolerance=-1 must be a number of at least 0"),
        ([".", "processes=2"], "processes=2 round in another order: set tolerance, such as 0.01"),
        ([], "run"),
    ],
)
def test_mistakes(trompe: Trompe, arguments: list[str], message: str) -> None:
    assert message in trompe.fails("reproduce", *arguments)


def test_the_first_difference_is_named() -> None:
    old = [{"tick": t, "kimg": t / 10, "a": 1.0, "b": 2.0, "time": "x"} for t in (1, 2, 3)]
    new = [{**record, "time": "y", "speed/x": 3.0} for record in old]
    assert first_difference(old, new, 0) is None
    new[1]["b"] = 2.002
    found = first_difference(old, new, 0)
    assert found is not None
    assert (found.tick, found.kimg, found.quantity) == (2, 0.2, "b")
    assert found.relative == pytest.approx(0.001, rel=1e-2)
    assert first_difference(old, new, 0.01) is None
    del new[2]["a"]
    found = first_difference(old, new, 0.01)
    assert found is not None and (found.tick, found.quantity, found.reproduced) == (3, "a", None)


def test_what_was_measured_as_a_smaller_budget_ended_is_not_missed() -> None:
    old = [{"tick": t, "kimg": t / 10, "a": 1.0} for t in (1, 2, 3)]
    new = [dict(record) for record in old]
    old[1]["fd"] = 7.0
    assert first_difference(comparable(old, new, {0.2}), new, 0) is None
    assert first_difference(comparable(old, new, {0.1}), new, 0) is not None
    new[1]["a"] = 2.0
    assert first_difference(comparable(old, new, {0.2}), new, 0) is not None


def test_the_first_tensor_that_differs_is_named() -> None:
    import torch

    old = {"a": {"w": torch.zeros(2)}, "b": [1, torch.ones(2)]}
    assert differing_tensor(old, old) is None
    new = {"a": {"w": torch.zeros(2)}, "b": [1, torch.tensor([1.0, 1.5])]}
    assert differing_tensor(old, new) == ("b.1", 0.5)


def test_a_record_that_was_compared_counts_though_the_stopped_run_took_it_back(
    trompe: Trompe, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = run.read_metrics()
    again = RunFolder(trompe.folder / "again")
    found = Found(records[:2], again, records[:2], None)
    monkeypatch.setattr(reproduction, "follow", lambda *given: found)
    monkeypatch.setenv("TROMPE_OUTPUT_DIR", str(trompe.outputs))
    with initialize_config_dir(config_dir(), version_base="1.3"):
        target = reproduction.reproduce(compose("reproduce", [f"run={run.path}", "ticks=2"]))
    told = json.loads(target.read_text())
    assert told["ticks"] == 2 and told["verdict"].startswith("bitwise equal")


def test_a_tensor_that_differs_is_found_where_no_record_does(
    trompe: Trompe, run: RunFolder
) -> None:
    lines = run.tensors_file.read_text().splitlines()
    third = json.loads(lines[2])
    assert "names" not in third and third["kimg"] == 0.144
    lines[2] = json.dumps({**third, "crc32": "00000000" + third["crc32"][8:]})
    run.tensors_file.write_text("\n".join(lines) + "\n")
    message = trompe.fails("reproduce", str(run.path))
    name = json.loads(lines[0])["names"][0]
    assert f"was not reproduced: first tensor at 0.144 kimg: {name}" in message
    assert verdict_of(run)["first_tensor"] == {"kimg": 0.144, "name": name, "differing": 1}


def test_another_number_of_processes_is_alike_within_rounding(trompe: Trompe) -> None:
    trompe("train", *TINY, *FAMILIES["mlp_gan"], "kimg=0.096")
    (run,) = trompe.runs()
    done = trompe("reproduce", str(run.path), "processes=2", "tolerance=0.01")
    assert "verdict: equal within 0.01 over 2 ticks: at most " in done.stdout
    assert "(L2: 2 processes, recorded with 1 process)" in done.stdout
    assert verdict_of(run)["level"] == "L2"


def test_an_experiment_is_tested_with_another_seed(trompe: Trompe) -> None:
    for seed in (1, 2, 5):
        trompe("train", *TINY, *FAMILIES["mlp_gan"], "kimg=0.096", f"seed={seed}")
    folder = trompe.outputs / trompe.runs()[0].path.parent.name
    refused = trompe.fails("reproduce", str(folder), "ticks=1")
    assert "ticks=1 is for a single run, and" in refused
    out = trompe("reproduce", str(folder)).stdout
    values = [run.read_facts()["best"]["value"] for run in trompe.runs()[:3]]
    mean, half = interval(values)
    assert (
        f"with seed 6: fd_random_conv should be {mean:.5g} ± {half:.2g} (from seeds 1, 2, 5)" in out
    )
    assert "(L3: the interval over seeds)" in out
    (told,) = (folder / "reproductions").glob("*.json")
    verdict = json.loads(told.read_text())
    assert verdict["level"] == "L3" and verdict["seed"] == 6
    for run in trompe.runs()[:2]:
        shutil.rmtree(run.path)
    message = trompe.fails("reproduce", str(folder))
    assert "has no two finished runs that differ in the seed alone" in message


def test_the_interval_of_the_next_value() -> None:
    # Mean 2, deviation 1, Student's t 4.303 for two degrees of freedom.
    assert interval([1, 2, 3]) == (2, pytest.approx(4.3027 * (1 + 1 / 3) ** 0.5, rel=1e-4))
