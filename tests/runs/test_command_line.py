"""The command line: what it lists, composes, completes and refuses."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import FAMILIES, TINY, Trompe, load
from trompe.cli import commands

SHOWN = "import sys; sys.argv = ['trompe', {args}]; from trompe.cli import main\n"
NO_TORCH = (
    "try:\n    main()\nexcept SystemExit:\n    pass\n"
    "assert 'hydra' in sys.modules or {hydra}\n"
    "assert 'torch' not in sys.modules, 'torch was imported'\n"
)


@pytest.mark.parametrize(
    "arguments",
    [["--help"], [], ["train", "--help"], ["train", "--cfg", "job"], ["sample", "--cfg", "job"]],
)
def test_help_and_config_import_no_torch(arguments: list[str], tmp_path: Path) -> None:
    script = SHOWN.format(args=", ".join(map(repr, arguments)))
    script += NO_TORCH.format(hydra=arguments[:1] not in (["train"], ["sample"]))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert ("train" in done.stdout) or ("run:" in done.stdout)
    assert list(tmp_path.iterdir()) == []


def test_commands_are_listed(trompe: Trompe) -> None:
    out = trompe().stdout
    assert "train " in out and "sample " in out


def test_completion_knows_commands_groups_and_keys(trompe: Trompe) -> None:
    def complete(line: str) -> list[str]:
        return trompe("-sc", "query=bash", COMP_LINE=line, COMP_POINT=str(len(line))).stdout.split()

    assert complete("trompe ") == sorted(commands())
    assert {"evaluate", "sample", "train"} <= commands().keys()
    assert complete("trompe tr") == ["train"]
    assert "model=sndcgan" in complete("trompe train model=")
    assert "model.optimizer.lr=" in complete("trompe train model=dcgan model.optimizer.l")
    assert "checkpoint=" in complete("trompe sample ch")
    assert "hydra_bash_completion" in trompe("-sc", "install=bash").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tarin"], "no command 'tarin': did you mean train?"),
        (["xyzzy"], "no command 'xyzzy': the commands are"),
        (["train", "model=dcgam"], "model=dcgam is not known: did you mean dcgan or sndcgan? The"),
        (["train", "modle=dcgan"], "no key modle: did you mean model or "),
        (["train", "lr=1e-4"], "no key lr: did you mean model.optimizer.lr?"),
        (["train", "batchsize=4"], "no key batchsize: did you mean batch_size?"),
        (["sample"], "run is missing: give run=...: a run folder, its id, latest or best"),
        (["train", "data=folder"], "data.path"),
        (["train", "model.optimizer.lrr=1"], "lrr"),
        (["train", "model.loss=hing"], "hinge"),
        (["train", "trainer=gpu"], "trainer=cpu"),
        (["train", "trainer.accelerator=tpu"], "tpu"),
        (["train", "trainer.devices=0"], "trainer.devices"),
        (["train", "batch_size=0"], "batch_size=0 must be a whole number"),
        (["train", "kimg="], "kimg"),
        (["train", "data.resolution=48", "data=shapes"], "48"),
        (["train", "data=folder", "data.path=nowhere"], "nowhere"),
        (["train", "resume=maybe"], "resume=maybe"),
        (["train", "data=shapes", "checkpoint.monitor=fid"], "choose one of fd_efflite0, auto"),
        (["train", "data=shapes", "checkpoint.mode=low"], "neither auto, min nor max"),
        (["train", "data=shapes", "model.loss=..hinge"], "model.loss=..hinge"),
        (["train", "data=shapes", "+model.penalties.load_penalty=1"], "r1, r2, wgan_gp"),
        (["sample"], "run"),
        (["sample", "run=nowhere"], "no run folder at nowhere"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    trompe: Trompe, arguments: list[str], said: str
) -> None:
    if arguments[0] == "train" and not any("=gpu" in a for a in arguments):
        arguments = [*arguments, "logger=[]"]
    env = {"CUDA_VISIBLE_DEVICES": ""}
    assert said in trompe.fails(*arguments, **env)
    assert not trompe.outputs.exists()


def test_bad_pictures_are_refused_before_anything_is_written(trompe: Trompe) -> None:
    pictures = trompe.folder / "pictures"
    pictures.mkdir()
    folder = ["train", "data=folder", f"data.path={pictures}", "data.resolution=16", "logger=[]"]
    assert "pictures" in trompe.fails(*folder)
    for i in range(6):
        Image.new("RGB", (20, 20), (i * 30, 0, 0)).save(pictures / f"{i}.png")
    small = trompe.fails(*folder, "data.resolution=32")
    assert "0.png" in small and "6" in small
    (pictures / "3.png").write_bytes((pictures / "3.png").read_bytes()[:40])
    torn = trompe.fails(*folder)
    assert "3.png" in torn and "data.on_corrupt=skip" in torn
    assert not trompe.outputs.exists()
    trompe(*folder, *TINY[3:], *FAMILIES["mlp_gan"], "data.on_corrupt=skip", "kimg=0.048")


def test_nan_stops_the_run_and_keeps_the_last_good_checkpoint(trompe: Trompe) -> None:
    arguments = [*TINY, *FAMILIES["mlp_gan"], "model.optimizer.lr=1e38", "model.loss=least_squares"]
    message = trompe.fails("train", *arguments)
    assert "became NaN or infinite at 0.0" in message and "kimg" in message
    run = trompe.runs()[-1]
    assert run.read_facts()["status"] == "failed"
    assert not run.last_checkpoint.exists()
    # It begins again in its folder, and comes to the same end.
    assert trompe.fails("train", f"run={run.path}") == message
    assert [found.path for found in trompe.runs()] == [run.path]
    assert [s.get("from_kimg") for s in run.read_facts()["sessions"]] == [None, 0.0]


def test_full_disk_keeps_the_old_checkpoint(trompe: Trompe) -> None:
    trompe("train", *TINY, *FAMILIES["dcgan"], "kimg=0.048")
    run = trompe.runs()[-1]
    before = run.last_checkpoint.read_bytes()
    message = trompe.fails_on_a_full_disk(
        "train", f"run={run.path}", "kimg=0.096", largest=len(before) // 2
    )
    assert "cannot write the checkpoint" in message and "is kept" in message
    assert run.last_checkpoint.read_bytes() == before
    assert sorted(p.name for p in (run.path / "checkpoints").iterdir()) == [
        "best.ckpt",
        "last.ckpt",
    ]
    trompe("train", f"run={run.path}", "kimg=0.096")
    assert load(run.last_checkpoint)["clock"]["images"] == 96


def test_two_processes_cannot_train_one_folder(trompe: Trompe) -> None:
    trompe("train", *TINY, *FAMILIES["mlp_gan"], "kimg=0.048")
    run = trompe.runs()[-1]
    run.lock()
    message = trompe.fails("train", f"run={run.path}", "kimg=0.096")
    assert "is being trained by another process" in message


def test_a_program_ends_quietly() -> None:
    pytest.importorskip("triton")  # its binding prints what was not freed
    code = "from trompe.command import quick_imports\nwith quick_imports():\n    import triton"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""
