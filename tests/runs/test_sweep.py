"""Sweeps, as a user launches them: real processes, a real study."""

import csv
import os
import signal
import stat
import sys
from pathlib import Path

import optuna
import pytest
from PIL import Image

from tests.conftest import TINY, Trompe, wait
from trompe.runs.index import find_runs
from trompe.runs.run_folder import RunFolder
from trompe.sweeps.front import draw_pareto
from trompe.sweeps.sweep_folder import SweepFolder

TINY_GAN = ["model=dcgan", "model.generator.width=8", "model.discriminator.width=8", *TINY]
EVERY_TICK = ["evaluation.every_kimg=0.048", "samples.every_kimg=9.6"]
PLANTED = f"launcher.command=[{sys.executable},{Path(__file__).with_name('planted.py')}]"
# Seven bad learning rates after five good ones: what a pruner can save is known.
RATES = "model.optimizer.lr=1e-3,2e-3,5e-4,3e-3,3e-4,1e-1,1e-5,2e-1,5e-6,5e-2,2e-5,1e-6"


def the_sweep(trompe: Trompe) -> SweepFolder:
    (found,) = trompe.outputs.glob("sweeps/*/sweep.yaml")
    return SweepFolder(found.parent)


def study_of(folder: SweepFolder, storage: str = "sqlite") -> optuna.Study:
    return optuna.load_study(
        study_name=folder.path.name, storage=folder.open_storage(storage).study
    )


def table_of(folder: SweepFolder) -> list[dict[str, str]]:
    return list(csv.DictReader(folder.trials_csv.read_text().splitlines()))


def runs_of(folder: SweepFolder, number: int) -> list[RunFolder]:
    return find_runs(folder.trial(number))


def test_a_killed_sweep_goes_on_where_it_was(trompe):
    """8 trials, one of which fails; SIGKILL in the middle; nothing is done twice."""
    ticks = 15
    rates = ",".join(f"{i}e-4" for i in range(1, 8))
    process = trompe.start(
        "sweep",
        *(*TINY_GAN, *EVERY_TICK, f"kimg={0.048 * ticks}"),
        *(f"model.optimizer.lr={rates},-1", "sampler=grid", "jobs=2", "objective=fd_random_conv"),
    )

    def in_the_middle() -> bool:
        finished, started = 0, 0
        for run in find_runs(trompe.outputs):
            if run.read_facts().get("status") == "done":
                finished += 1
            elif run.last_checkpoint.is_file() and len(run.read_metrics()) <= ticks // 3:
                started += 1
        return finished >= 2 and started >= 1

    wait(lambda: process.poll() is not None or in_the_middle())
    assert process.poll() is None, process.communicate()
    process.kill()
    process.communicate()
    folder = the_sweep(trompe)
    wait(lambda: not any(run.is_locked() for n in range(8) for run in runs_of(folder, n)))
    before = {n: [(r.path, r.read_facts()) for r in runs_of(folder, n)] for n in range(8)}
    checkpoints = {
        n for n in before for run, _ in before[n] if RunFolder(run).last_checkpoint.exists()
    }
    unfinished = {n for n in checkpoints if all(f["status"] != "done" for _, f in before[n])}
    assert unfinished, "it was not killed in the middle of a trial"

    trompe("sweep", f"resume={folder.path}", "jobs=2")

    trials = study_of(folder).trials
    states = [trial.state.name for trial in trials]
    assert sorted(states) == ["COMPLETE"] * 7 + ["FAIL"]
    failed = next(trial for trial in trials if trial.state.name == "FAIL")
    assert failed.params == {"model.optimizer.lr": "-1"}
    assert "Invalid learning rate: -1" in failed.user_attrs["error"]
    for number in range(8):
        runs = runs_of(folder, number)
        done = [run for run in runs if run.read_facts()["status"] == "done"]
        if number == failed.number:
            assert not done
            continue
        assert len(done) == 1, f"trial {number} ran {len(done)} times"
        facts = done[0].read_facts()
        assert [record["tick"] for record in done[0].read_metrics()] == list(range(1, ticks + 1))
        if number in unfinished:
            assert [run.path for run in runs] == [path for path, _ in before[number]]
            assert facts["sessions"][1]["from_kimg"] > 0
        elif number in checkpoints:
            assert facts == before[number][0][1], f"trial {number} was touched again"
        else:
            # One that had no checkpoint yet begins again, in its folder.
            assert [path for path, _ in before[number]] in ([], [done[0].path])
            assert len(facts["sessions"]) == 1 + len(before[number])
            assert not any(session.get("from_kimg") for session in facts["sessions"])
    rows = table_of(folder)
    assert [row["state"] for row in rows].count("done") == 7
    best = min(rows, key=lambda row: float(row["fd_random_conv"] or "inf"))
    values = [r["fd_random_conv"] for r in RunFolder(folder.path / best["run"]).read_metrics()]
    assert float(best["fd_random_conv"]) == min(values)


def planted_sweep(trompe: Trompe, *arguments: str, **env: str) -> SweepFolder:
    common = ("sampler=grid", "objective=distance", "poll_seconds=0.02", PLANTED)
    trompe("sweep", RATES, "kimg=10", *common, *arguments, **env)
    return the_sweep(trompe)


def test_pruning_saves_images_and_finds_the_same_best(tmp_path, cache):
    kimg, best = {}, {}
    for pruner in ("none", "median"):
        trompe = Trompe(tmp_path / pruner, cache)
        trompe.folder.mkdir()
        folder = planted_sweep(trompe, f"pruner={pruner}", "jobs=2", "value=last")
        runs = [run for number in range(12) for run in runs_of(folder, number)]
        kimg[pruner] = sum(run.read_metrics()[-1]["kimg"] for run in runs)
        best[pruner] = study_of(folder).best_params
        statuses = {run.read_facts()["status"] for run in runs}
        assert statuses == ({"done"} if pruner == "none" else {"done", "pruned"})
    assert kimg["none"] == 120
    assert kimg["median"] <= 0.7 * kimg["none"]
    assert best["median"] == best["none"] == {"model.optimizer.lr": "0.001"}


def test_ctrl_c_stops_the_trials_and_says_how_to_go_on(trompe):
    arguments = (RATES, "kimg=1000", "sampler=grid", "objective=distance", PLANTED, "jobs=2")
    process = trompe.start("sweep", *arguments, "poll_seconds=0.05")
    wait(lambda: len(list(trompe.outputs.glob("sweeps/*/trials/*/planted/run/metrics.jsonl"))) == 2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    folder = the_sweep(trompe)
    assert process.returncode == 130
    assert f"trompe sweep resume={folder.path}" in out
    assert err.strip().splitlines()[-1] == "trompe: interrupted"
    assert [t.state.name for t in study_of(folder).trials][:3] == ["RUNNING", "RUNNING", "WAITING"]
    lengths = [(runs_of(folder, n)[0].path / "metrics.jsonl").stat().st_size for n in range(2)]
    assert lengths == [
        (runs_of(folder, n)[0].path / "metrics.jsonl").stat().st_size for n in range(2)
    ]


def test_two_workers_share_one_sweep(trompe):
    arguments = ("kimg=3", "sampler=grid", "objective=distance", "poll_seconds=0.02", PLANTED)
    first = trompe.start("sweep", RATES, *arguments)
    wait(lambda: len(list(trompe.outputs.glob("sweeps/*/trials/0000/.lock"))) == 1)
    folder = the_sweep(trompe)
    trompe("sweep", f"resume={folder.path}", "trust=true")
    first.communicate(timeout=60)
    assert [trial.state.name for trial in study_of(folder).trials] == ["COMPLETE"] * 12
    assert [len(runs_of(folder, number)) for number in range(12)] == [1] * 12


def test_workers_with_folders_of_their_own_share_a_named_study(trompe, tmp_path):
    storage = f"storage=sqlite:///{tmp_path}/shared.db"
    arguments = ("kimg=2", "objective=distance", "poll_seconds=0.02", PLANTED, storage)
    for n_trials in (2, 5):
        trompe(
            "sweep",
            *("model.optimizer.lr=log(1e-5,1e-1)", "sampler=random", "study=shared"),
            *(f"n_trials={n_trials}", *arguments),
        )
    study = optuna.load_study(study_name="shared", storage=f"sqlite:///{tmp_path}/shared.db")
    assert len({trial.params["model.optimizer.lr"] for trial in study.trials}) == 5
    message = trompe.fails(
        *("sweep", "model.optimizer.lr=log(1e-4,1e-1)", "study=shared", *arguments)
    )
    assert "the study shared already exists and is another sweep" in message


@pytest.mark.parametrize("sampler", ["random", "qmc", "tpe", "gp", "cmaes", "nsga2"])
def test_samplers(trompe, sampler):
    trompe(
        "sweep",
        *("model.optimizer.lr=log(1e-5,1e-1)", "n_trials=3", "jobs=3", "kimg=1", PLANTED),
        *(f"sampler={sampler}", "objective=distance", "poll_seconds=0.02", "storage=journal"),
    )
    trials = study_of(the_sweep(trompe), "journal").trials
    assert len({trial.params["model.optimizer.lr"] for trial in trials}) == 3
    assert {trial.state.name for trial in trials} == {"COMPLETE"}


@pytest.mark.parametrize("pruner", ["hyperband", "patience"])
def test_pruners(trompe, pruner):
    folder = planted_sweep(trompe, f"pruner={pruner}", "jobs=3")
    states = [trial.state.name for trial in study_of(folder).trials]
    assert states.count("COMPLETE") + states.count("PRUNED") == 12


def test_several_objectives(trompe):
    done = trompe(
        "sweep",
        *("model.optimizer.lr=1e-3,1e-2,1e-1", "kimg=1", "sampler=grid", "poll_seconds=0.02"),
        *("objective=[distance,speed]", "direction=[minimize,maximize]", PLANTED),
    )
    assert [trial.params for trial in study_of(the_sweep(trompe)).best_trials] == [
        {"model.optimizer.lr": "0.001"}
    ]
    assert "best     trial 0: distance = 4, speed = 1000" in done.stdout
    folder = the_sweep(trompe)
    assert f"picture  {folder.path / 'pareto.png'}" in done.stdout
    with Image.open(folder.path / "pareto.png") as picture:
        alone = picture.size
    for number in (0, 2):  # what a trial makes is drawn; a torn picture is left out
        file = runs_of(folder, number)[0].path / "samples" / "00001.000.png"
        file.parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 40), "red").save(file)
    file.write_bytes(file.read_bytes()[:60])
    draw_pareto(folder, study_of(folder))
    with Image.open(folder.path / "pareto.png") as picture:
        red = sum(
            n for n, color in picture.convert("RGB").getcolors(1 << 24) if color == (255, 0, 0)
        )
        assert picture.size[1] > alone[1] and red > 40_000


def test_one_objective_has_no_front(tmp_path):
    study = optuna.create_study()
    assert draw_pareto(SweepFolder(tmp_path), study) is None


def test_a_trial_that_fails_is_tried_again_from_its_checkpoint(trompe):
    """A trial whose disk was full goes on when it is tried again."""
    disk = trompe.folder / "full"
    code = (
        "import sys, pathlib, runpy; full = pathlib.Path(sys.argv.pop(1));\n"
        "if not full.exists(): full.touch(); sys.exit('no space left')\n"
        f"runpy.run_path({str(Path(__file__).with_name('planted.py'))!r})"
    )
    script = trompe.folder / "fails_once.py"
    script.write_text(code)
    done = trompe(
        "sweep",
        *("model.optimizer.lr=1e-3,1e-2", "kimg=1", "sampler=grid", "retries=1"),
        *("objective=distance", f"launcher.command=[{sys.executable},{script},{disk}]"),
    )
    assert "trial 0 failed and is being retried: no space left" in done.stdout
    assert "2 done, 0 pruned, 0 failed" in done.stdout


def test_submitit_on_this_machine(trompe):
    trompe(
        "sweep",
        *(*TINY_GAN, *EVERY_TICK, "model.optimizer.lr=1e-4,-1", "sampler=grid", "jobs=2"),
        *("objective=fd_random_conv", "launcher=submitit", "launcher.cluster=local"),
    )
    done, failed = table_of(the_sweep(trompe))
    assert (done["state"], failed["state"]) == ("done", "failed")
    assert "Invalid learning rate" in failed["error"]


def test_trials_are_pinned_to_devices_and_share_the_cores(trompe, monkeypatch):
    from trompe.sweeps.launchers import Local

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    script = (
        "import os; print(os.environ.get('CUDA_VISIBLE_DEVICES'), os.environ['OMP_NUM_THREADS'])"
    )
    launcher = Local(command=[sys.executable, "-c", script], devices=[4, 6])
    for slot in (0, 1, 2):
        job = launcher.start([], trompe.folder, slot, jobs=2)
        wait(lambda job=job: job.poll() is not None)
    threads = max(1, len(os.sched_getaffinity(0)) // 2)
    lines = (trompe.folder / "stdout.log").read_text().splitlines()
    assert lines == [f"{device} {threads}" for device in (4, 6, 4)]


def test_a_sweep_goes_on_as_it_was(trompe):
    folder = planted_sweep(trompe, "n_trials=2")
    message = trompe.fails("sweep", f"resume={folder.path}", "seed=3", "objective=speed")
    assert "cannot change objective=speed, seed=3" in message
    asked = trompe.fails("sweep", f"resume={folder.path}", "n_trials=3")
    assert "planted.py (launcher.command): set trust=true" in asked
    trompe("sweep", f"resume={folder.path}", "n_trials=3", "trust=true")
    assert len(study_of(folder).trials) == 3


def test_trials_of_two_processes_each(trompe: Trompe) -> None:
    trompe(
        "sweep",
        *(*TINY_GAN, "trainer=ddp_cpu", "trainer.precision=32-true", "model.loss=hinge,no_such"),
        *("sampler=grid", "objective=fd_random_conv"),
    )
    done, failed = table_of(the_sweep(trompe))
    assert (done["state"], failed["state"]) == ("done", "failed")
    assert RunFolder(the_sweep(trompe).path / done["run"]).read_facts()["hardware"]["devices"] == 2
    assert "no_such" in failed["error"]


def test_hydra_multirun_makes_runs_too(trompe):
    trompe("train", "-m", *TINY_GAN, "kimg=0.048", "seed=0,1", "+my_token=hunter22")
    assert {run.read_config()["seed"] for run in trompe.runs()} == {0, 1}
    file = trompe.outputs / "multirun" / "multirun.yaml"  # which Hydra saves
    assert "+my_token=***" in file.read_text() and "hunter22" not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
