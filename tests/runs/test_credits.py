"""Whose pictures a run was trained on stays with what is made of them."""

import json

from tests.conftest import FAMILIES, TINY, Trompe

BY = "cats by David Revoy, CC BY 4.0, by way of the package robohash"


def test_whose_pictures_they_are_is_said_wherever_they_are_shown(trompe: Trompe) -> None:
    cats = ["data=robohash", "data.size=96", *TINY[2:], "kimg=0.048"]
    trompe("train", *cats, *FAMILIES["mlp_gan"])
    (run,) = trompe.runs()
    facts = json.loads((run.path / "run.json").read_text())
    assert facts["data_credits"] == BY
    trompe("export", f"run={run.path}", "format=[safetensors]", "out=exported")
    card = (trompe.folder / "exported" / "README.md").read_text()
    assert f"| images by | {BY} |" in card
    trompe("compare", str(run.path), "out=page.html")
    page = (trompe.folder / "page.html").read_text()
    assert page.count(BY) == 1


def test_data_without_credits_say_nothing(trompe: Trompe) -> None:
    trompe("train", *TINY, "kimg=0.048", *FAMILIES["mlp_gan"])
    (run,) = trompe.runs()
    assert "data_credits" not in json.loads((run.path / "run.json").read_text())
