"""What is read from a run folder is checked: data of the right shape, or one line."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from trompe.runs import plain_yaml
from trompe.runs.plain_yaml import dump_yaml, parse_yaml, parse_yaml_shared
from trompe.runs.reading import Unreadable, read_json, read_yaml, require
from trompe.runs.run_folder import RunFolder, open_run
from trompe.runs.shape import CONFIG, FACTS

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))


def place(path: Path, what: bytes | str) -> None:
    """Put a file there, or what stands in its place."""
    path.unlink(missing_ok=True)
    if what == "a folder":
        path.mkdir()
    elif what == "a pipe":
        os.mkfifo(path)
    elif what == "a link to nothing":
        path.symlink_to("nothing")
    elif what == "a link to a device":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(what if isinstance(what, bytes) else what.encode())


ANY_FILE = [
    ("a folder", "Is a directory"),
    ("a pipe", "it is not a file"),
    ("a link to nothing", "No such file"),
    ("a link to a device", "it is not a file"),
    (b"\xff\xfe{}", "byte 1 is not of UTF-8 text"),
]
FACTS_FILES = [
    *ANY_FILE,
    ("", "it is empty"),
    (" \n", "it is empty"),
    ('{"status": "do', "it is not JSON: .* (line 1, column 12)"),
    ("[" * 100_000, "nested too deeply"),
    ("{}" + " " * 32_000_000, "it is larger than 32 MB"),
    ('{"a": ' * 60 + "1" + "}" * 60, "more than 50 levels"),
    ('{"kimg": NaN}', "NaN is not a number"),
    ('{"kimg": 1e999}', "kimg is inf, not a number"),
    ('{"kimg": 1' + "0" * 400 + "}", "kimg is 10*.*, not a number"),
    ('{"kimg": 1' + "0" * 5000 + "}", "thousands of digits"),
    ('{"kimg": true}', "kimg is True, not a number"),
    ('{"kimg": "x"}', "kimg is 'x', not a number"),
    ("[]", "it is [], not a mapping of names to values"),
    ("3", "it is 3, not a mapping"),
    ('{"status": 3}', "status is 3, not text"),
    ('{"sessions": 3}', "sessions is 3, not a list"),
    ('{"sessions": null}', "sessions is None, not a list"),
    ('{"sessions": [null]}', "sessions.0 is None, not a mapping"),
    ('{"sessions": [3]}', "sessions.0 is 3, not a mapping"),
    ('{"sessions": [{"started": "yesterday"}]}', "started is 'yesterday', not a time"),
    ('{"sessions": [{"started": 1}]}', "sessions.0.started is 1, not a time"),
    ('{"sessions": [{"started": "0001-01-01"}]}', "not a time"),
    ('{"protocols": []}', "protocols is [], not a mapping"),
    ('{"protocols": {"fd": 1}}', "protocols.fd is 1, not a mapping"),
    ('{"best": {"value": "x"}}', "best.value is 'x', not a number"),
    ('{"format": "2"}', "format is '2', not a whole number"),
]
CONFIG_FILES = [
    *ANY_FILE,
    ("", "it is None, not a mapping"),
    ("- 1\n", "it is [1], not a mapping"),
    ("a: [1\n", "line 2: did not find expected"),
    ("a:\n\t- 1\n", "line 2: "),
    ("a: b\x00", "control characters are not allowed"),
    (BOMB, "line 1 has an anchor"),
    ("a: *b\n", "line 1 has an alias"),
    ("a: !!python/object/apply:os.system [exit]\n", "line 1 has a tag"),
    ("a: !!python/name:os.system ''\n", "line 1 has a tag"),
    ("a: !!str 1\n", "line 1 has a tag"),
    ("a: 2026-01-01\n", "'2026-01-01', which YAML takes for a timestamp"),
    ("<<: {a: 1}\n", "line 1 has '<<', which YAML takes for a merge"),
    ("a: 1\nb: 1\na: 2\n", "line 3 has a key twice"),
    ("? [a]\n: 1\n", "a key that is a mapping or a list"),
    ("a: 1\n---\na: 2\n", "a second document"),
    ("[" * 100_000, "line 1 has more than 50 levels"),
    ("- " * 100_000, "line 1 has more than 50 levels"),
    ("a: [" + "1," * 200_000 + "]", "more than 100000 values"),
    ("kimg: 0x" + "f" * 100_000, "a number that is too large"),
    ("kimg: 1" + ":00" * 50_000, "a number that is too large"),
    ("kimg: x\n", "kimg is 'x', not a number"),
    ("model: 3\n", "model is 3, not a mapping"),
]


@pytest.mark.parametrize(("what", "said"), FACTS_FILES, ids=range(len(FACTS_FILES)))
def test_a_damaged_run_json_is_one_line(tmp_path: Path, what: bytes | str, said: str) -> None:
    refused(read_json, tmp_path / "run.json", what, said, FACTS)


@pytest.mark.parametrize(("what", "said"), CONFIG_FILES, ids=range(len(CONFIG_FILES)))
@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
def test_a_damaged_config_is_one_line_within_a_second(
    tmp_path: Path, what: bytes | str, said: str, loader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if loader == "SafeLoader" and len(what) > 90_000 and "1," in str(what):
        pytest.skip("without libyaml it takes seconds to read 100,000 values")
    monkeypatch.setattr(plain_yaml, "_Loader", getattr(yaml, loader))
    if loader == "SafeLoader":  # it words these in its own way
        said = "" if said.startswith(("line 2: ", "control")) else said
    refused(read_yaml, tmp_path / "config.yaml", what, said, CONFIG)


def refused(read: Callable[..., Any], path: Path, what: bytes | str, said: str, shape: Any) -> None:
    place(path, what)
    began = time.process_time()
    with pytest.raises(Unreadable) as told:
        read(path, shape)
    assert time.process_time() - began < 1
    message = str(told.value)
    assert message.startswith(f"cannot read {path}: ") and "\n" not in message
    assert len(message) < len(str(path)) + 200
    start, _, rest = said.partition(".*")
    assert start.replace("10*", "10") in message and rest in message


def test_what_may_be_missing_is_not_missed(tmp_path: Path) -> None:
    text = '{"error": null, "best": null, "trackers": {"csv": null}, "own": {"a": [1]}, "kimg": 1}'
    place(tmp_path / "run.json", text)
    assert read_json(tmp_path / "run.json", FACTS)["own"] == {"a": [1]}


VALUES = [
    *({"a": value} for value in (None, True, 1, -1.5, 1e-4, 1e300, "", "x", "1", "1e-4", "null")),
    *(
        {"a": value}
        for value in ("\udcff", "2026-01-01", "é\n\t ü", "!x", "&a", "*b", "- a", "{", "#", ": ")
    ),
    {"a": float("inf"), "b": ["x", {"c": [], "d": {}}, [[1], []]], 3: "three", "long": "w " * 200},
]


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_yaml_reads_what_it_wrote(value: dict[str, Any]) -> None:
    text = dump_yaml(value)
    assert parse_yaml(text) == yaml.safe_load(text) == value
    assert type(parse_yaml(text)["a"]) is type(value["a"])


SHARED = [
    *("a: 1\nb:\n  c: 1\nd: [1,\n 2]\n", "a: |\n  b: 1\n\n  c\nd: 1\n", "# a\na: 1\n# b\nb: 2"),
    *('a: "x\n  b: 1"\nc: 2', "a: x\n  y\nb: 1", "a: 1\n'b': 2\n3: 4\n_c: 5", "{a: 1}", "[1]", ""),
    *(
        'a: "x\nb: 1"\n',
        "{a: 1,\nb: 2}",
        "- a\n- b",
        "a:\n- 1\nb:\n- 2",
        "x",
        "x\ny",
        "a: 1\n\n\nb: 2",
    ),
    *("a: 1\n...\nb: 2", "a: 1\n---\nb: 2", "a: 1\na: 2", "a: &x 1\nb: *x", "a: [\nb: 1", "a:\n b"),
    *(
        "%YAML 1.1\n---\na: 1",
        "a: 1\nb",
        "a\nb: 1",
        "a: !x 1\nb: 2",
        "a: 1\n...",
        "a: >-\n  b\n\nc: d",
    ),
]


@pytest.mark.parametrize("text", SHARED, ids=range(len(SHARED)))
def test_yaml_in_parts_is_the_yaml_of_the_whole(text: str) -> None:
    def result(parse: Callable[[str], Any]) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            return str(error)

    assert result(parse_yaml_shared) == result(parse_yaml)
    if not isinstance(result(parse_yaml), str) or text == "x\ny":
        assert parse_yaml(text) == yaml.safe_load(text)


def test_configs_in_parts_are_those_that_were_written(tmp_path: Path) -> None:
    shared = {"model": {"a": [1, {"b": 2}]}, "data": {"c": "x: y\n z"}}
    for number in range(3):
        run = RunFolder(tmp_path / str(number))
        run.create({**shared, "seed": number, "kimg": 0.5 * number}, [], {})
        assert run.read_config(is_shared=True) == run.read_config()
        assert run.read_config() is not run.read_config()


def test_what_is_shared_is_written_without_aliases(tmp_path: Path) -> None:
    shared = [1, 2]
    run = RunFolder(tmp_path / "run")
    run.create({"a": shared, "b": {"c": shared}}, [], {})
    assert "*" not in run.config_file.read_text()
    assert run.read_config() == {"a": [1, 2], "b": {"c": [1, 2]}}


def test_values_that_a_command_needs_are_missed_in_one_line(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.create({"name": "a", "seed": 0, "kimg": 1}, [], {})
    with pytest.raises(Unreadable, match=r"it has no tick_kimg, batch_size, data\._target_, "):
        open_run(run.path).read_experiment()
    config = {"name": "a", "model": 3, "trainer": {"devices": None}}
    with pytest.raises(Unreadable, match=r"it has no model\._target_, logger, trainer\.devices$"):
        require(Path("a"), config, ["name", "model._target_", "logger", "trainer.devices"])
    with pytest.raises(Unreadable, match=r"run\.json: it has no data_fingerprint"):
        run.check_data("abc")
    run.facts_file.unlink()
    with pytest.raises(Unreadable, match=r"run\.json: No such file"):
        run.read_facts()
    place(run.path / "overrides.yaml", "a: 1")
    with pytest.raises(Unreadable, match=r"overrides\.yaml: it is {'a': 1}, not a list"):
        run.read_overrides()


def test_facts_are_kept_when_some_are_changed(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.create({}, [], {"own": "é"})
    before = json.loads(run.facts_file.read_bytes())
    run.update_facts(kimg=1.0)
    assert before["own"] == "é"
    assert json.loads(run.facts_file.read_bytes()) == {**before, "kimg": 1.0}
