"""metrics.jsonl: appended to whole, cut back, followed, and read with checks."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from trompe.errors import UserError
from trompe.lines import append_line, cut_back
from trompe.runs.reading import Unreadable
from trompe.runs.records import Follower, append_record, read_records, rewind


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def lines(*kimgs: float, **more: Any) -> str:
    return "".join(json.dumps({"kimg": kimg, **more}) + "\n" for kimg in kimgs)


def kimgs(path: Path) -> list[float]:
    return [record["kimg"] for record in read_records(path)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[1, 2]", r"it is \[1, 2\], not a mapping"),
        ('"text"', "it is 'text', not a mapping"),
        ("3", "it is 3, not a mapping"),
        ("null", "it is None, not a mapping"),
        ('{"fd": 1.0}', "it has no kimg"),
        ('{"kimg": null}', "it has no kimg"),
        ('{"kimg": "2"}', "kimg is '2', not a number"),
        ('{"kimg": 2, "fd": "x"}', "fd is 'x', not a number"),
        ('{"kimg": 2, "fd": true}', "fd is True, not a number"),
        ('{"kimg": 2, "fd": [1]}', r"fd is \[1\], not a number"),
        ('{"kimg": 2, "fd": NaN}', "NaN is not a number"),
        ('{"kimg": 2, "fd": -Infinity}', "-Infinity is not a number"),
        ('{"kimg": 2, "fd": 1e999}', "fd is inf, not a number"),
        ('{"kimg": 2, "fd": 1' + "0" * 400 + "}", "fd is 10.*, not a number"),
        ('{"kimg": 2, "fd": 1' + "0" * 5000 + "}", "thousands of digits"),
        ('{"kimg": 2, "time": 3}', "time is 3, not text"),
        ('{"kimg": 2}, {"kimg": 3}', "it is not JSON"),
        ('{"kimg": 2', "it is not JSON"),
        ("\0\0\0", "it is not JSON"),
        ("[" * 50_000, "nested too deeply"),
        ("\udcff", "it is not UTF-8 text"),
    ],
)
def test_a_line_that_is_no_record_is_named(path: Path, line: str, said: str) -> None:
    text = lines(1) + line + "\n" + lines(9)
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(Unreadable, match=f"line 2: .*{said}") as told:
        kimgs(path)
    assert "\n" not in str(told.value) and len(str(told.value)) < len(str(path)) + 150
    with pytest.raises(Unreadable):
        rewind(path, 2.0)  # the line may be of a tick before that
    assert path.read_bytes() == text.encode(errors="surrogateescape")


def test_an_endless_line_is_refused_before_it_is_read(path: Path) -> None:
    path.write_bytes(b" " * 3_000_000)
    with pytest.raises(Unreadable, match="a line of more than 1048576 bytes"):
        kimgs(path)


@pytest.mark.parametrize("torn", ['{"kimg": 3.', '{"kimg": 3, "fd": "', "\0\0\0", "{", " "])
def test_a_torn_last_line_is_left_out_and_cut_off(path: Path, torn: str) -> None:
    path.write_text(lines(1, 2) + torn)
    assert kimgs(path) == [1, 2]
    rewind(path, 5)
    assert path.read_text() == lines(1, 2)


def test_a_last_line_without_a_newline_counts_if_it_is_whole(path: Path) -> None:
    path.write_text(lines(1, 2) + "\n\n" + lines(3)[:-1])
    assert kimgs(path) == [1, 2, 3]
    rewind(path, 3)
    append_record(path, {"kimg": 4})
    assert kimgs(path) == [1, 2, 3, 4]
    path.write_text(lines(1) + "[2]")
    with pytest.raises(Unreadable, match="line 2: it is"):
        kimgs(path)


@pytest.mark.parametrize(("kimg", "left"), [(9, 3), (3, 3), (2.9, 2), (1, 1), (0, 0)])
def test_rewinding(path: Path, kimg: float, left: int) -> None:
    rewind(path, kimg)
    assert not path.exists()
    path.write_text(lines(1, 2, 3))
    rewind(path, kimg)
    assert path.read_text() == lines(*[1, 2, 3][:left])
    rewind(path, kimg)
    append_record(path, {"kimg": 7})
    assert kimgs(path) == [*[1, 2, 3][:left], 7]


def test_a_long_file_is_rewound_by_its_end_and_read_block_by_block(path: Path) -> None:
    row = {f"loss/{i}": 0.123456789 for i in range(20)}
    path.write_text("not read\n" + lines(*range(20_000), **row))
    tracemalloc.start()
    try:
        rewind(path, 19_990)
        assert tracemalloc.get_traced_memory()[1] < 200_000
        path.write_bytes(path.read_bytes().removeprefix(b"not read\n"))
        tracemalloc.reset_peak()
        assert sum(1 for _ in read_records(path)) == 19_991
        # A block of text, and its records.
        assert tracemalloc.get_traced_memory()[1] < 6_000_000 < path.stat().st_size
    finally:
        tracemalloc.stop()


def test_what_cannot_be_appended_leaves_the_file_as_it_was(path: Path) -> None:
    path.symlink_to("/dev/full")
    with pytest.raises(UserError, match=f"cannot write {path}: No space left on device"):
        append_record(path, {"kimg": 1})
    path.unlink()
    path.mkdir()
    for change in (lambda: append_line(path, "x"), lambda: cut_back(path, lambda *_: True)):
        with pytest.raises(UserError, match=f"cannot write {path}: Is a directory"):
            change()
    with pytest.raises(UserError, match=r"cannot write .*none/a: No such file"):
        append_line(path / "none" / "a", "x")


class TestFollower:
    def test_it_reads_what_comes(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        follower = Follower(path)
        follower.read()
        assert follower.records == []
        seen = []
        original = json.loads

        def counted(text: str, **more: Any) -> Any:
            seen.append(text.count("kimg"))
            return original(text, **more)

        monkeypatch.setattr(json, "loads", counted)
        with path.open("a") as file:
            for text in (lines(1, 2), "", lines(3)[:5], lines(3)[5:], lines(4) + '{"ki'):
                file.write(text)
                file.flush()
                follower.read()
                follower.read()
        assert [record["kimg"] for record in follower.records] == [1, 2, 3, 4]
        assert sum(seen) == 4  # each was parsed once

    @pytest.mark.parametrize("again", [(1, 2.5), (1, 2.5, 3.5, 4.5), (7,), ()])
    def test_it_begins_again_when_the_run_was_rewound(
        self, path: Path, again: tuple[float, ...]
    ) -> None:
        follower = Follower(path)
        path.write_text(lines(1, 2, 3))
        follower.read()
        before = follower.records
        path.write_text(lines(*again))
        follower.read()
        assert [record["kimg"] for record in follower.records] == [*again]
        assert len(before) == 3
        with path.open("a") as file:
            file.write(lines(9))
        follower.read()
        assert [record["kimg"] for record in follower.records] == [*again, 9]
