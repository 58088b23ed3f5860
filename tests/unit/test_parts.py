"""Parts of a config are checked against what makes them, ours and anybody's."""

from typing import Any

import pytest
from hydra.errors import InstantiationException
from omegaconf import OmegaConf

from trompe.errors import Count, UserError
from trompe.parts import check_parts, make


class Base:
    def __init__(self, width: Count, names: list[str], weights: dict[str, float]) -> None:
        self.width = width


class Derived(Base):
    def __init__(self, depth: int = 1, scale: "float | None" = None, **common: Any) -> None:
        super().__init__(**common)


PART = {"_target_": f"{__name__}.Derived", "width": 1, "names": ["a"], "weights": {"a": 1}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"depth": -1}, None),  # only our own parts have no whole numbers below 0
        ({"scale": None}, None),
        ({"scale": {"_target_": "builtins.float"}}, None),
        ({"scale": "x"}, "x.scale=x must be a number or null"),
        ({"scale": float("nan")}, "x.scale=nan must be a number or null"),
        ({"depth": True}, "x.depth=true must be a whole number"),
        ({"depth": "3"}, "x.depth='3' must be a whole number"),
        ({"width": 0}, "x.width=0 must be a whole number of at least 1"),
        ({"names": "a"}, "x.names=a must be a list, each text"),
        ({"names": [1]}, "x.names=[1] must be a list, each text"),
        ({"weights": {"a": None}}, "x.weights.a=null must be a number"),
        ({"weights": [1]}, "x.weights=[1] must be a mapping to a number"),
        ({"_partial_": 1}, "x._partial_=1 must be true or false"),
        ({"_target_": None}, "x._target_=null must be text"),
    ],
)
def test_values_are_of_the_annotated_kinds(change: dict[str, Any], said: str | None) -> None:
    config = {"x": [{"inner": PART | change}]}
    if said is None:
        return check_parts(config, "parts")
    with pytest.raises(UserError) as error:
        check_parts(config, "parts")
    assert str(error.value) == f"parts.x.0.inner.{said.removeprefix('x.')}"
    return None


def test_others_parts_are_made_as_they_are() -> None:
    flatten = make({"_target_": "torch.nn.Flatten", "start_dim": -2}, "part")
    assert flatten.start_dim == -2
    made = make(OmegaConf.create({"a": PART, "b": None}), "parts")
    assert list(made) == ["a"] and made["a"].width == 1
    with pytest.raises(InstantiationException, match=r"full_key: parts\.a"):
        make({"a": {"_target_": "torch.nn.Conv2d"}}, "parts")
    with pytest.raises(UserError, match=r"^parts\.a\.height: the part does not take this"):
        make({"a": {**PART, "height": 1}}, "parts")
