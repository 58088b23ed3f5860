"""Numbers that follow the images seen."""

import math

import pytest

from trompe.engine.schedules import (
    Constant,
    Cosine,
    Linear,
    Schedule,
    WarmUp,
    value_at,
    values_at,
    varies,
)
from trompe.errors import UserError


def test_a_line_between_two_plateaus() -> None:
    line = Linear(start=4, end=1, begin_kimg=10, end_kimg=40)
    expected = {0: 4, 9.999: 4, 10: 4, 20: 3, 25: 2.5, 39: 1.1, 40: 1, 41: 1, 1e6: 1}
    for kimg, value in expected.items():
        assert line.at(kimg) == pytest.approx(value, abs=1e-12), kimg
    assert (line.at(10), line.at(40)) == (4, 1)  # exactly
    assert Linear(0, 1, 0, 10).at(2.5) == 0.25


def test_a_line_without_length_is_a_step() -> None:
    step = Linear(start=1, end=0, begin_kimg=5, end_kimg=5)
    assert [step.at(kimg) for kimg in (0, 4.999, 5, 6)] == [1, 1, 0, 0]


@pytest.mark.parametrize("kimg", [0, 8, 10, 13, 20, 27, 30, 99])
def test_a_cosine_by_its_formula(kimg: float) -> None:
    # SGDR, eq. 5: end + (start - end) (1 + cos(pi t)) / 2
    t = min(max((kimg - 10) / 20, 0), 1)
    expected = 0.1 + (0.7 - 0.1) * (1 + math.cos(math.pi * t)) / 2
    assert Cosine(0.7, 0.1, 10, 30).at(kimg) == pytest.approx(expected, rel=1e-12)


def test_warm_up_multiplies_what_it_leads_to() -> None:
    plain = WarmUp(then=2.0, kimg=10)
    assert [plain.at(kimg) for kimg in (0, 5, 10, 100)] == [0, 1, 2, 2]
    assert WarmUp(2.0, 10, factor=0.5).at(5) == 2 * 0.75
    falling = WarmUp(then=Linear(4, 0, 0, 20), kimg=10, factor=0.5)
    assert [falling.at(kimg) for kimg in (0, 5, 10, 15, 20)] == [2, 3 * 0.75, 2, 1, 0]


def test_schedules_within_lists_and_dicts() -> None:
    value = {"betas": [Linear(0, 1, 0, 10), 0.999], "weights": {"a": Constant(3), "b": 2}}
    assert varies(value) and varies([value]) and varies(Constant(1))
    assert values_at(value, 5) == {"betas": [0.5, 0.999], "weights": {"a": 3, "b": 2}}
    plain = {"betas": [0.5, 0.999], "fused": True, "name": "x", "none": None}
    assert not varies(plain) and values_at(plain, 5) == plain
    assert value_at(0.25, 1e9) == 0.25


def test_a_schedule_of_ones_own() -> None:
    class Staircase(Schedule):
        def at(self, kimg: float) -> float:
            return kimg // 2

    assert values_at([Staircase(), 1], 5) == [2, 1]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Constant("much"), "schedule: value=much must be a number"),  # type: ignore[arg-type]
        (lambda: Constant(math.nan), "schedule: value=nan must be a number"),
        (lambda: Constant(True), "schedule: value=true must be a number"),
        (lambda: Linear(1, math.inf, 0, 1), "schedule: end=inf must be a number"),
        (lambda: Cosine(1, 0, None, 1), "schedule: begin_kimg=null must be a number"),  # type: ignore[arg-type]
        (
            lambda: Linear(1, 0, 5, 4),
            "schedule: end_kimg=4 is before begin_kimg=5: swap them",
        ),
        (lambda: WarmUp(1, 0), "schedule: kimg=0 must be above 0"),
        (lambda: WarmUp(1, 1, factor="a"), "schedule: factor=a must be a number"),  # type: ignore[arg-type]
        (lambda: WarmUp("soon", 1), "schedule: then=soon must be a number"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_schedule_is_one_line(make: object, said: str) -> None:
    with pytest.raises(UserError) as error:
        make()  # type: ignore[operator]
    assert str(error.value) == said
