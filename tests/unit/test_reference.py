"""What conf/ says about itself: every file a purpose, every key of a command a comment."""

import re
from pathlib import Path

import pytest

from trompe import reference
from trompe.cli import commands
from trompe.command import config_dir
from trompe.help import show_help

FILES = sorted(Path(config_dir()).rglob("*.yaml"))
NAMES = [str(file.relative_to(config_dir()).with_suffix("")) for file in FILES]


@pytest.mark.parametrize("name", NAMES)
def test_every_file_says_what_it_is_for(name: str) -> None:
    assert len(reference.read(name).purpose) > 5


@pytest.mark.parametrize("command", commands())
def test_every_key_of_a_command_is_explained(command: str) -> None:
    assert [k.name for k in reference.read(command).keys if k.value and not k.comment] == []


def test_comments_go_on_below_and_may_stand_above() -> None:
    keys = {key.name: key for key in reference.read("evaluate").keys}
    assert keys["reference"].comment.endswith("if all beside it are splits)")
    assert keys["run"] == reference.Key(
        "run", "null", "a run folder, its id, latest or best; or instead of it:"
    )
    style = {key.name: key.comment for key in reference.keys_of("model/adversarial_style")}
    assert style["weights"].startswith("Ours: docs/results.md")


def test_later_files_win_and_keep_comments() -> None:
    keys = {key.name: key for key in reference.keys_of("data/content_style")}
    assert keys["resolution"].value == "128"
    assert keys["flip"] == reference.Key("flip", "true", "ours: doubles small sets")
    assert keys["on_corrupt"].comment == "or skip"


def test_sentences_end_after_the_authors() -> None:
    assert reference.first_sentence("Least squares: Mao et al. 2017. More.") == (
        "Least squares: Mao et al. 2017"
    )


@pytest.mark.parametrize("command", commands())
def test_help_has_purpose_examples_keys_and_choices(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    show_help(command, commands()[command], [])
    out = capsys.readouterr().out
    assert len(re.findall(rf"^  trompe {command} ?", out, re.MULTILINE)) >= 3
    assert max(map(len, out.splitlines())) <= 80
    flat = " ".join(out.split())
    for key in reference.read(command).keys:
        assert key.comment in flat or len(key.comment) > 40
    for group in reference.groups(command):
        for option in reference.options(group):
            assert re.search(rf"^  {option}\b", out, re.MULTILINE)


def test_help_has_the_keys_of_what_is_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    show_help("train", commands()["train"], ["model=sndcgan", "metrics=[efflite0,nothing]"])
    out = capsys.readouterr().out
    assert "keys of model=sndcgan" in out and "model.optimizer.lr=" in out
    assert "keys of metrics=efflite0" in out and "keys of metrics=nothing" not in out


def test_keys_of_a_recipe_are_those_of_the_whole_config(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_help("train", commands()["train"], ["experiment=dcgan_demo"])
    out = capsys.readouterr().out
    assert re.search(r"^  model\.\w+", out, re.MULTILINE)
    assert "experiment.kimg" not in out
    assert reference.prefix("model/augment", "diffaugment") == "model.augment."
