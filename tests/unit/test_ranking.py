"""Values with different cards are not ranked."""

import pytest

from trompe.errors import UserError
from trompe.runs.ranking import Value, by_protocol, rank

CARD = {"measure": "fd", "better": "lower", "n_images": 1024, "data": "abc", "seed": 0}


def test_equal_protocols_are_ranked_by_what_is_better() -> None:
    values = [Value("a", 3.0, CARD), Value("b", 1.0, {**CARD, "seed": 1}), Value("c", 2.0, CARD)]
    assert [v.owner for v in rank("fd_efflite0", values)] == ["b", "c", "a"]
    higher = [v._replace(protocol={**v.protocol, "better": "higher"}) for v in values]
    assert [v.owner for v in rank("recall_efflite0", higher)] == ["a", "c", "b"]
    assert rank("fd_efflite0", []) == []


def test_mixed_protocols_are_refused_with_what_differs() -> None:
    other = {**CARD, "n_images": 50000, "seed": 2}
    older = {key: value for key, value in CARD.items() if key != "data"}
    values = [Value("a", 3.0, CARD), Value("b", 1.0, other), Value("c", 2.0, CARD)]
    with pytest.raises(
        UserError, match=r"2 protocols, .*: n_images: 1024, 50000 .*a, c \| b"
    ) as said:
        rank("fd_efflite0", values)
    assert "seed" not in str(said.value) and "\n" not in str(said.value)
    assert [[v.owner for v in group] for group in by_protocol(values)] == [["a", "c"], ["b"]]
    with pytest.raises(UserError, match="data: abc, None"):
        rank("fd_efflite0", [Value("a", 3.0, CARD), Value("b", 1.0, older)])
