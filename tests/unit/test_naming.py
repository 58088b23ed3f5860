"""Names of runs: folders, ids, latest, best."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from trompe.command import with_folder
from trompe.errors import UserError
from trompe.runs.index import find_runs
from trompe.runs.naming import find_run
from trompe.runs.run_folder import RunFolder

PROTOCOL = {"measure": "fd", "better": "lower", "n_images": 100}


def make(folder: Path, day: int, value: float | None, **protocol: Any) -> Path:
    run = RunFolder(folder)
    sessions = [{"started": f"2026-01-{day:02}T00:00:00+00:00"}]
    protocols = {"fd": {**PROTOCOL, **protocol}}
    run.create({"seed": day}, [], {"protocols": protocols, "sessions": sessions})
    for number, factor in enumerate((2, 1, 3), 1):
        if value is not None:
            record = {"fd": value * factor, "speed/images_per_second": value}
            run.append_metrics({"kimg": float(number), "tick": number, **record})
    if value is not None:
        run.update_facts(best={"metric": "fd", "value": value, "kimg": 2.0})
    return folder


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    make(tmp_path / "gan" / "2026-01-01_00-00-00_aabb01", 1, 30.0)
    make(tmp_path / "gan" / "2026-01-02_00-00-00_aabb02", 2, 10.0)
    make(tmp_path / "gan" / "2026-01-03_00-00-00_ccdd03", 3, None)
    make(tmp_path / "other" / "2026-01-01_12-00-00_eeff04", 1, 1.0)
    return tmp_path


def named(name: str, outputs: Path) -> str:
    return find_run(name, str(outputs)).path.name


def test_by_name_id_and_the_beginning_of_an_id(outputs: Path) -> None:
    assert named("2026-01-01_00-00-00_aabb01", outputs).endswith("aabb01")
    assert named("aabb02", outputs).endswith("aabb02")
    assert named("ccdd", outputs).endswith("ccdd03")
    assert find_run(str(outputs / "gan/2026-01-03_00-00-00_ccdd03"), "x").path.name.endswith("03")


def test_latest_and_best(outputs: Path) -> None:
    assert named("latest", outputs).endswith("ccdd03")
    assert named("best", outputs).endswith("aabb02")  # of the latest run's experiment
    assert named("other/best", outputs).endswith("eeff04")
    assert named("gan/latest", outputs).endswith("ccdd03")
    assert named(f"{outputs}/other/latest", Path("nowhere")).endswith("eeff04")


def test_a_reproduction_is_nobody_s_latest(outputs: Path) -> None:
    latest = find_run("latest", str(outputs)).path
    again = make(outputs / "reproductions" / "gan" / "2026-02-01_00-00-00_eeeeee", 28, 1.0)
    assert find_run("latest", str(outputs)).path == latest
    assert again not in [run.path for run in find_runs(outputs)]
    # By its folder, or below theirs, it is found.
    assert find_run(str(again), str(outputs)).path == again
    assert [run.path for run in find_runs(outputs / "reproductions")] == [again]


def test_the_best_of_higher_values(tmp_path: Path) -> None:
    make(tmp_path / "a_1111", 1, 0.2, better="higher")
    make(tmp_path / "a_2222", 2, 0.3, better="higher")
    assert named("best", tmp_path) == "a_2222"


def test_a_sweep_s_objective_decides(tmp_path: Path) -> None:
    sweep = tmp_path / "sweeps" / "2026_abcd"
    make(sweep / "trials" / "0000" / "run_1111", 1, 5.0)
    make(sweep / "trials" / "0001" / "run_2222", 2, 7.0)
    description = {"objective": ["speed/images_per_second"], "direction": ["maximize"]}
    others = {"storage": "sqlite", "study": "s", "overrides": [], "experiment": [], "flags": []}
    (sweep / "sweep.yaml").write_text(yaml.safe_dump({**description, **others}))
    assert named("sweeps/2026_abcd/best", tmp_path) == "run_2222"
    assert named("best", tmp_path) == "run_2222"
    (sweep / "sweep.yaml").unlink()
    assert named("best", tmp_path) == "run_1111"


def test_a_damaged_run_is_not_the_best(outputs: Path) -> None:
    (outputs / "gan" / "2026-01-02_00-00-00_aabb02" / "run.json").write_text("{")
    assert named("gan/best", outputs).endswith("aabb01")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("aabb", "is the name of 2 runs"),
        ("eeee", "no run folder at eeee, and none of that name or id"),
        ("aa", "no run folder at aa"),
        ("gan/nothing", "there is no run folder at gan/nothing"),
        (__file__, "run=.*test_naming.py is a file, not a run folder"),
        ("none/latest", "run=none/latest: there are no runs below"),
        ("none/best", "run=none/best: there are no runs below"),
    ],
)
def test_mistakes(outputs: Path, name: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        find_run(name, str(outputs))


def test_what_cannot_be_ranked_has_no_best(outputs: Path) -> None:
    make(outputs / "gan" / "2026-01-04_00-00-00_ffff05", 4, 1.0, n_images=200)
    with pytest.raises(UserError, match="2 protocols"):
        find_run("best", str(outputs))
    run = RunFolder(make(outputs / "gan" / "2026-01-05_00-00-00_ffff06", 5, 1.0))
    run.update_facts(best={"metric": "kd", "value": 1.0, "kimg": 1.0})
    with pytest.raises(UserError, match=r"different metrics \(fd, kd\)"):
        find_run("best", str(outputs))


def test_nothing_was_measured(tmp_path: Path) -> None:
    make(tmp_path / "a_1111", 1, None)
    with pytest.raises(UserError, match="no run has a value"):
        find_run("best", str(tmp_path))


def test_a_bare_word_is_the_run(tmp_path: Path) -> None:
    assert with_folder(["latest", "n=4"], "run") == ["n=4", "run='latest'"]
    assert with_folder(["~samples", "n=4"], "run") == ["~samples", "n=4"]
    assert with_folder([str(tmp_path)], "run")[0].startswith("run=")
    with pytest.raises(UserError, match="run= is one folder, not 2"):
        with_folder(["latest", "best"], "run")
