"""Did you mean: keys by their last part, by their spelling, and never what is far off."""

import sys

import pytest

from trompe.cli import _main, commands
from trompe.suggestions import close, did_you_mean, for_composition, similar

KEYS = ["kimg", "model", "model.optimizer", "model.optimizer.lr", "batch_size", "data.batch"]


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("lr", ["model.optimizer.lr"]),
        ("learning_rate", ["model.optimizer.lr"]),
        ("optimizer.lr", ["model.optimizer.lr"]),
        ("batchsize", ["batch_size"]),
        ("Kimg", ["kimg"]),
        ("modle", ["model"]),
        ("xyzzy", []),
    ],
)
def test_similar_keys(word: str, found: list[str]) -> None:
    assert similar(word, KEYS) == found


def test_the_nearest_is_first() -> None:
    assert similar("model.optimzer.lr", KEYS)[0] == "model.optimizer.lr"


def test_at_most_three_are_named() -> None:
    assert did_you_mean("abcd") == ": did you mean a or b or c?"
    assert did_you_mean([]) == ""
    assert close("trian", commands()) == ["train"]


def test_lines_never_advise_to_append() -> None:
    text = "Could not override 'modle'.\nTo append to your config use +modle=dcgan"
    line = for_composition(text, "train", ["modle=dcgan"])
    assert line is not None and "+" not in line and "did you mean model" in line


def test_keys_are_those_of_the_chosen_model() -> None:
    text = "Could not override 'warmup'.\nTo append to your config use +warmup=1"
    meant = "did you mean model.warmup_kimg"
    assert meant in str(for_composition(text, "train", ["model=adversarial_style"]))
    assert meant not in str(for_composition(text, "train", ["model=dcgan"]))
    # Where the choices cannot be composed, groups are known.
    text = "Could not override 'metric.x'.\nTo append to your config use +metric.x=1"
    for choice in ("metrics=null", "metrics=[nothing]"):
        assert "did you mean metrics" in str(for_composition(text, "train", [choice]))


def test_what_is_missing_is_explained() -> None:
    text = "Missing mandatory value: content\n    full_key: data.content\n    object_type=dict"
    line = for_composition(text, "train", ["data=content_style"])
    assert line == (
        "data.content is missing: give data.content=...: a folder, a zip archive or a picture; "
        "or a list: [photos,more.zip]"
    )


def test_other_messages_are_left_alone() -> None:
    assert for_composition("something else", "train", []) is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "model.loss=hinge,"], "cannot read model.loss=hinge, (to mean it as text"),
        (["sweep", "model.loss=hinge,"], "it is none of key=value, key=a,b and key=log(1e-5,1e-3)"),
        (["train", "--foo"], "there is no flag --foo: a key is written without dashes"),
        (["runs", "--jsn"], "there is no flag --jsn"),
        (["train", "--cfg"], "argument --cfg/-c: expected one argument"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["trompe", *arguments])
    assert _main(arguments) == 2
    told = capsys.readouterr().err.strip()
    assert told.startswith("trompe: ") and said in told and "\n" not in told
    assert "BRACKET_OPEN" not in told
