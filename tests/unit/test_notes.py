from pathlib import Path

import pytest

from trompe.errors import UserError
from trompe.runs.notes import add_note, find_tags, read_notes


def test_notes_are_paragraphs_that_stay(tmp_path: Path) -> None:
    assert read_notes(tmp_path) == ""
    add_note(tmp_path, " sharper eyes\n")
    add_note(tmp_path, "“better” than 0.0002")
    assert read_notes(tmp_path) == "sharper eyes\n\n“better” than 0.0002"
    assert [path.name for path in tmp_path.iterdir()] == ["notes.md"]


def test_a_tag_is_a_word_after_a_hash() -> None:
    notes = (
        "#keep the eyes, #keep; #a-b (#ünder) see issue#5, #5, x.org/#top &#38; # title\n## more"
    )
    assert find_tags(notes) == ["keep", "a-b", "ünder"]


def test_notes_that_cannot_be_read_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("x" * 100_001)
    assert read_notes(tmp_path) == ""
    with pytest.raises(UserError, match=r"notes\.md"):
        add_note(tmp_path, "more")
    assert (tmp_path / "notes.md").stat().st_size == 100_001
    (tmp_path / "notes.md").write_text("x" * 99_999)
    with pytest.raises(UserError, match="longer than 100,000 bytes: shorten it by hand"):
        add_note(tmp_path, "more")
