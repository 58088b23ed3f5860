"""What people type on a command line means what it says."""

import os
import shlex
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
from hydra.core.override_parser.types import ChoiceSweep, QuotedString

from trompe.command import split_words
from trompe.errors import UserError
from trompe.paths import expand
from trompe.sweeps.arguments import split_arguments
from trompe.words import as_override, as_text, in_shell, quoted, typed

NAMES = [
    "~/pictures",
    "Bilder ä",
    "a#b",
    "it's",
    'say "no"',
    "photo (1)",
    "/x/photo (1)",
    "photo(1)",
    "x[1]",
    "a:b",
    "50%",
    "a=b",
    "{x}",
    "$x",
    "ends in a space ",
    " begins with one",
    "a\\b",
    "ends in one\\",
    "it\\'s",
    "ends 'so\\'",
    "😀.png",
    "two\nlines",
    "2024",
    "007",
    "1e5",
    "nan",
    "true",
    "wow!",
    "x\\ y",
    "a\\\\b",
    "a&b;c|d",
]


def read(word: str) -> Any:
    value = OverridesParser(create_functions()).parse_override(word).value()
    return value.text if isinstance(value, QuotedString) else value


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["data.path", "+data.content", "paths.output_dir", "run", "name"])
def test_any_name_is_text_where_a_path_belongs(key: str, name: str) -> None:
    word = as_override(f"{key}={name}")
    assert read(word) == name
    assert as_override(word) == word


@pytest.mark.parametrize("name", [*NAMES, "a,b", "[x]", "null", "a\\ b", "'", "''", "\\"])
def test_what_is_printed_can_be_typed(name: str) -> None:
    assert read(f"key={quoted(name)}") == name
    (word,) = shlex.split(typed("run", name))
    assert read(as_override(word)) == name
    assert shlex.split(in_shell(name)) == [name]


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("kimg=200", 200),
        ("kimg=1e5", 1e5),
        ("kimg='8'", "8"),
        ("samples=null", None),
        ("data.path=null", None),
        ("data.path='1e5'", "1e5"),
        ("model.optimizer.betas=[0.5,0.9]", [0.5, 0.9]),
        ("model.loss=a b", "a b"),
        ("model.loss=a#b", "a#b"),
        ("data.content=[~/a,b (1).jpg,'c,d',2024]", ["~/a", "b (1).jpg", "c,d", "2024"]),
        ("style=[]", []),
        ("data.content={_target_:my.Source}", {"_target_": "my.Source"}),
        ("data.path=${paths.data_dir}/photo (1)", "${paths.data_dir}/photo (1)"),
        ("title=", ""),
    ],
)
def test_what_hydra_reads_is_left_as_it_is(word: str, meaning: Any) -> None:
    assert read(as_override(word)) == meaning


@pytest.mark.parametrize("values", ["a,b", "~/a,photo (1)", "2024,2025", "it's,b"])
def test_commas_separate_values_whatever_they_are(values: str) -> None:
    space = read(as_override(f"data.path={values}"))
    assert isinstance(space, ChoiceSweep)
    found = [value.text if isinstance(value, QuotedString) else value for value in space.list]
    assert found == values.split(",")
    (typed_as,) = shlex.split(as_text(f"data.path={values}"))
    assert read(as_override(typed_as)) == values


@pytest.mark.parametrize(
    "word",
    [
        "~model.optimizer",
        "lr=log(1e-5,1e-3)",
        "lr=lg(1e-5,1e-3)",
        "seed=range(1,9",
        "data.content=[a,b",
        "data.content={a:it's}",
        "data.path='a",
        "nothing",
        "no key=1",
    ],
)
def test_what_was_meant_as_more_than_text_stays_an_error(word: str) -> None:
    assert as_override(word) == word


def test_flags_may_stand_anywhere() -> None:
    arguments = ["a=1", "--cfg", "job", "folder", "-m", "b=2", "--config-dir", "x=y"]
    flags, words = split_words(arguments)
    assert flags == ["--cfg", "job", "-m", "--config-dir", "x=y"]
    assert words == ["a=1", "folder", "b=2"]


def test_a_path_expands_or_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert expand("~/x", "out") == Path("/somewhere/x")
    assert expand(Path("~"), "out") == Path("/somewhere")
    assert expand("a~", "out") == Path("a~")
    for bad, said in [(None, "out=null"), ("", "out=''"), (2.5, "out=2.5"), (["a"], r"out=\[a\]")]:
        with pytest.raises(UserError, match=f"{said} must be the path"):
            expand(bad, "out")
    with pytest.raises(UserError, match=r"out=~no_such_user/x: there is no home folder"):
        expand("~no_such_user/x", "out")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 1 << 30)
    with pytest.raises(UserError, match=r"out=~/x: there is no home folder"):
        expand("~/x", "out")


@pytest.mark.parametrize(
    ("word", "override"),
    [
        ("metrics=null", "metrics=[]"),
        ("logger=null", "logger=[]"),
        ("callbacks=null", "~callbacks"),
        ("experiment=null", "~experiment"),
        ("model/augment=null", "~model/augment"),
        ("samples=null", "samples=null"),
        ("model=5", "model='5'"),
    ],
)
def test_null_of_a_group_leaves_it_out(word: str, override: str) -> None:
    assert as_override(word) == override


def test_a_sweep_takes_paths_as_they_are_typed() -> None:
    own, _, experiment = split_arguments(
        ["-m", "data.path=~/a (1)", "seed=0,1", "paths.output_dir=~/x", "resume=~/it's"]
    )
    assert own == ["-m", "paths.output_dir='~/x'", "resume='~/it\\'s'"]
    assert experiment == ["data.path='~/a (1)'", "seed=0,1", "paths.output_dir='~/x'"]
