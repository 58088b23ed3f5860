"""A run that is killed and resumed is the run that was never killed."""

import json
import shlex
import signal

import pytest

from tests.conftest import FAMILIES, TINY, Trompe, difference, load, values, wait
from trompe.runs.run_folder import RunFolder

SLOWER = ["tick_kimg=0.16", "kimg=0.64"]  # so that the signal comes in the middle of a tick
RESULT = ("state_dict", "optimizer_states", "clock", "callbacks")


@pytest.mark.parametrize("family", FAMILIES)
def test_killed_and_resumed_equals_uninterrupted(trompe: Trompe, family: str) -> None:
    arguments = ["train", *TINY, *SLOWER, *FAMILIES[family]]
    trompe(*arguments, "name=whole")
    whole = trompe.runs()[-1]

    killed = trompe.stop_after(2, signal.SIGKILL, *arguments, "name=killed")
    assert killed.read_facts()["status"] == "running"
    assert 320 <= load(killed.last_checkpoint)["clock"]["images"] < 640
    trompe("train", f"run={killed.path}")

    a, b = load(whole.last_checkpoint), load(killed.last_checkpoint)
    assert a["clock"] == {"images": 640}
    assert difference({k: a[k] for k in RESULT}, {k: b[k] for k in RESULT}) is None
    assert values(whole) == values(killed)
    assert len(values(whole)) == 4
    assert killed.read_facts()["status"] == "done"
    first, second = killed.read_facts()["sessions"]
    assert "from_kimg" not in first and second["from_kimg"] >= 0.32


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_signal_ends_the_run_and_auto_goes_on(
    trompe: Trompe, how: signal.Signals, code: int
) -> None:
    arguments = ["train", *TINY, *SLOWER, *FAMILIES["mlp_gan"], "resume=auto"]
    stopped = trompe.stop_after(1, how, *arguments)
    assert stopped.read_facts()["status"] == "interrupted"
    done = len(stopped.read_metrics())
    assert done < 4
    trompe(*arguments)
    assert len(trompe.runs()) == 1
    assert [r["tick"] for r in stopped.read_metrics()] == [1, 2, 3, 4]
    assert stopped.read_facts()["status"] == "done"
    # With nothing left to resume, `auto` starts a new run.
    trompe(*arguments)
    assert len(trompe.runs()) == 2


def test_a_longer_budget_goes_on_in_the_folder(trompe: Trompe) -> None:
    trompe("train", *TINY, *FAMILIES["mlp_gan"])
    run = trompe.runs()[-1]
    trompe("train", f"run={run.path}", "kimg=0.24")
    assert [r["tick"] for r in run.read_metrics()] == [1, 2, 3, 4, 5]
    assert run.read_config()["kimg"] == 0.24
    assert len(trompe.runs()) == 1


def test_what_is_typed_holds_though_the_recipe_has_come_to_say_it(trompe: Trompe) -> None:
    recipe = trompe.folder / "my_conf" / "experiment" / "mine.yaml"
    recipe.parent.mkdir(parents=True)
    text = "# @package _global_\nkimg: {}\nmodel: {{generator_lr: {{_target_: {}, start: 1e-3, "
    text += "end: 0, begin_kimg: 0, end_kimg: '${{kimg}}'}}}}\n"
    cosine = "trompe.engine.schedules.Cosine"
    recipe.write_text(text.format(0.144, cosine))
    common = [f"--config-dir={recipe.parents[1]}", *TINY, *FAMILIES["mlp_gan"]]
    trompe("train", *(o for o in common if not o.startswith("kimg=")), "experiment=mine")
    (run,) = trompe.runs()
    recipe.write_text(text.format(0.192, cosine))
    again = ["train", common[0], f"run={run.path}"]
    trompe(*again)  # nothing is asked for: it is done
    assert run.read_config()["kimg"] == 0.144
    trompe(*again, "kimg=0.192")  # a schedule ends with it: a variation
    (new,) = [found for found in trompe.runs() if found.path != run.path]
    changes = new.read_facts()["parent"]["changes"]
    assert changes == {"kimg": 0.192, "model.generator_lr.end_kimg": 0.192}
    assert new.read_config()["model"]["generator_lr"]["end_kimg"] == 0.192
    assert len(new.read_metrics()) == 4


def test_other_changes_make_a_new_run_with_a_parent(trompe: Trompe) -> None:
    trompe("train", *TINY, *FAMILIES["mlp_gan"])
    run = trompe.runs()[-1]
    before = run.last_checkpoint.read_bytes()
    trompe("train", f"run={run.path}", "seed=1", "model.optimizer.lr=1e-4", "kimg=0.096")
    (new,) = [found for found in trompe.runs() if found.path != run.path]
    assert new.path.parent == run.path.parent
    facts = new.read_facts()
    changes = {"kimg": 0.096, "seed": 1, "model.optimizer.lr": 1e-4}
    assert facts["parent"]["run"] == str(run.path)
    assert changes.items() <= facts["parent"]["changes"].items()
    assert facts["seed"] == 1 and facts["status"] == "done"
    assert new.read_config()["batch_size"] == 8
    assert run.last_checkpoint.read_bytes() == before
    # What the new run recorded composes to it: it can be resumed, and varied again.
    trompe("train", f"run={new.path}", "kimg=0.144")
    assert [r["tick"] for r in new.read_metrics()] == [1, 2, 3]
    assert "give its folder" in trompe.fails("train", *TINY, "fresh=true")


def test_records_after_the_checkpoint_are_written_again(trompe: Trompe) -> None:
    trompe("train", *TINY, *FAMILIES["mlp_gan"], "kimg=0.096")
    run = trompe.runs()[-1]
    first = values(run)
    # As if killed between the record of a third tick and its checkpoint.
    run.append_metrics({**first[-1], "kimg": 0.144, "tick": 3})
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"kimg": 0.19')
    run.update_facts(status="running")
    trompe("train", f"run={run.path}", "kimg=0.144")
    assert [r["tick"] for r in run.read_metrics()] == [1, 2, 3]
    assert values(run)[:2] == first
    json.loads((run.path / "run.json").read_text())


def test_a_run_that_ends_before_its_first_tick_begins_again_in_its_folder(trompe: Trompe) -> None:
    logger = ["logger=[csv]", "tick_kimg=0.32", "kimg=0.64"]
    arguments = ["train", *TINY, *logger, *FAMILIES["mlp_gan"]]
    trompe(*arguments, "name=whole")
    (whole,) = trompe.runs()

    def stop(how: signal.Signals, name: str) -> tuple[RunFolder, str]:
        process = trompe.start(*arguments, f"name={name}")
        began = trompe.outputs / name
        # Its first grid is drawn once it trains.
        wait(lambda: any(began.glob("*/samples/0*.png")))
        process.send_signal(how)
        printed = process.communicate(timeout=60)[0]
        (file,) = began.glob("*/run.json")
        return RunFolder(file.parent), printed

    killed, _ = stop(signal.SIGKILL, "killed (1)")
    assert killed.read_facts()["status"] == "running"
    trompe(*arguments, "name=killed (1)", "resume=auto")
    interrupted, printed = stop(signal.SIGINT, "it's interrupted")
    (command,) = [line for line in printed.splitlines() if "resume it with" in line]
    # As if the record had been written, and the checkpoint not.
    interrupted.append_metrics(whole.read_metrics()[0])
    trompe(*shlex.split(command.partition("trompe ")[2]))

    for run in (killed, interrupted):
        assert not {p.path for p in trompe.runs()} - {whole.path, killed.path, interrupted.path}
        a, b = load(whole.last_checkpoint), load(run.last_checkpoint)
        assert difference({k: a[k] for k in RESULT}, {k: b[k] for k in RESULT}) is None
        assert values(run) == values(whole)
        assert len((run.path / "metrics.csv").read_text().splitlines()) == 3
        facts = run.read_facts()
        assert facts["status"] == "done"
        assert [session.get("from_kimg") for session in facts["sessions"]] == [None, 0.0]


def test_a_checkpoint_that_was_lost_is_not_trained_again(trompe: Trompe) -> None:
    trompe("train", *TINY, *FAMILIES["mlp_gan"], "kimg=0.096")
    (run,) = trompe.runs()
    run.last_checkpoint.unlink()
    run.best_checkpoint.unlink()
    run.update_facts(status="interrupted")
    assert "repeat it with fresh=true" in trompe.fails("train", f"run={run.path}")
    assert len(run.read_metrics()) == 2


def test_resuming_without_a_checkpoint_or_folder(trompe: Trompe) -> None:
    trompe("train", *TINY, *FAMILIES["mlp_gan"], "kimg=0.048")
    run = trompe.runs()[-1]
    run.last_checkpoint.unlink()
    assert "has no checkpoint to resume from" in trompe.fails("train", f"run={run.path}")
    assert "no run folder at" in trompe.fails("train", f"run={run.path}x")
    assert "not a run folder" in trompe.fails("train", f"run={run.path.parent}")


def test_damaged_checkpoint_is_one_line(trompe: Trompe) -> None:
    trompe("train", *TINY, *FAMILIES["mlp_gan"], "kimg=0.048")
    run = trompe.runs()[-1]
    run.last_checkpoint.write_bytes(run.last_checkpoint.read_bytes()[:1000])
    assert "cannot be read" in trompe.fails("train", f"run={run.path}")
