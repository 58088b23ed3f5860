"""What was varied: what was typed and differs, short, once."""

import pytest

from trompe.runs.variation import as_label, as_number, describe, read_words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0002, "2e-4"),
        ("0.0002", "2e-4"),
        (1e-5, "1e-5"),
        (0.1, "0.1"),
        (0, "0"),
        (64, "64"),
        (20000, "20000"),
        (1000000, "1e6"),
        (0.00012345, "1.2345e-4"),
        (True, "true"),
        (None, "null"),
        ("hinge", "hinge"),
        ("[0.5,0.9]", "[0.5,0.9]"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_are_short(value: object, text: str) -> None:
    assert as_number(value) == text


def test_only_what_differs_in_the_order_of_typing_seeds_last() -> None:
    typed = [
        ["experiment=demo", "seed=1", "model.loss=hinge", "model.optimizer.lr=0.0002"],
        ["experiment=demo", "seed=2", "model.loss='wasserstein'", "+model.optimizer.lr=1e-3"],
    ]
    found = describe([read_words(one) for one in typed], [{}, {}])
    assert [as_label(one) for one in found] == [
        "hinge, lr 2e-4, seed 1",
        "wasserstein, lr 0.001, seed 2",
    ]


def test_configs_say_what_was_not_typed() -> None:
    found = describe([read_words(["seed=3"]), {}], [{"seed": 3}, {"seed": 0}])
    assert [as_label(one) for one in found] == ["seed 3", "seed 0"]
    found = describe([read_words(["model=sndcgan"]), {}], [{}, {}])
    assert [as_label(one) for one in found] == ["sndcgan", "model default"]


def test_equal_values_are_no_difference() -> None:
    words = [read_words(["model.optimizer.lr=2e-4"]), read_words(["model.optimizer.lr=0.0002"])]
    assert describe(words, [{}, {}]) == [{}, {}]
    assert as_label({}) == ""


def test_keys_that_end_alike_are_told_apart() -> None:
    varied = {"model.generator.width": "32", "model.discriminator.width": "64"}
    assert as_label(varied) == "generator.width 32, discriminator.width 64"


def test_where_and_how_is_left_out() -> None:
    assert read_words(["paths.store=x", "logger=[csv]", "name=a", "trainer=ddp", "~data"]) == {}
