"""What `trompe doctor` tells of a machine."""

import json
import re
from pathlib import Path

import pytest

from tests.conftest import Trompe
from trompe.errors import UserError
from trompe.extras import optional_packages
from trompe.runs.anchor import Made, add_anchor, read_anchors
from trompe.runs.tensors import Sums
from trompe.tasks.doctor import verdict


def made(cpu: str = "A", value: float = 1.0, crc: str = "00000001") -> Made:
    values = [{"kimg": 1.0, "tick": 1, "loss": value}]
    return Made(cpu, "AVX2", "2.11", values, [Sums(1.0, {"w": crc, "v": "00000000"})])


def test_it_trains_twice_and_names_the_level(trompe: Trompe) -> None:
    out = trompe("doctor", f"add_to={trompe.folder / 'anchors.json'}").stdout
    for word in ("processor", "trainer=auto", "packages", "paths.output_dir", "GPUs"):
        assert re.search(rf"^ {word} ", out, re.MULTILINE), out
    assert all(f" {extra} " in out for _, extra in optional_packages().values() if extra != "dev")
    assert "L0: two trainings are bitwise equal" in out
    assert re.search("L1: bitwise equal to|L2: within [0-9e.-]+ of", out)
    (here,) = read_anchors(trompe.folder / "anchors.json")
    assert list(verdict(here, here, [here]))[1].startswith("L1: bitwise equal to the anchor of ")
    assert not trompe.outputs.exists()
    assert "anchor:" not in trompe("doctor", "anchor=false").stdout


def test_the_level_is_that_of_the_nearest_anchor() -> None:
    here, near, far = made(), made("B", 1.000001, "00000002"), made("C", 1.5, "00000003")
    assert (
        "L1: bitwise equal to the anchor of A (AVX2), torch 2.11"
        in [*verdict(here, here, [far, here])][1]
    )
    told = list(verdict(here, here, [far, near]))
    assert told[1].startswith("L2: within 1e-06 of the anchor of B")
    assert told[2].strip() == "first tensor at 1 kimg: w"
    told = list(verdict(here, here, [far]))
    assert told[1].startswith("this build trains otherwise than C (AVX2), torch 2.11: values")
    with pytest.raises(UserError, match="differ by 0, first tensor at 1 kimg: w: runs cannot be"):
        list(verdict(here, made(crc="00000009"), [here]))


def test_an_anchor_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "anchors.json"
    for one in (made(), made("B"), made(value=2.0)):
        add_anchor(one, path)
    assert [(one.cpu, one.values[0]["loss"]) for one in read_anchors(path)] == [("B", 1), ("A", 2)]
    assert json.loads(path.read_text())[0]["sums"] == [[1.0, {"w": "00000001", "v": "00000000"}]]
