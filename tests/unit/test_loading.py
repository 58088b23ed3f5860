"""Runs in Python: the same images as on the command line, nothing written."""

from pathlib import Path

import numpy as np
import pytest
import skimage
import torch
from PIL import Image

import trompe as library
from tests.conftest import FAMILIES, TINY, Trompe
from trompe.errors import UserError
from trompe.loading import Pictures


def tree(folder: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def test_a_gan_samples_what_the_command_samples(trompe: Trompe) -> None:
    trompe("train", *FAMILIES["dcgan"], *TINY, "kimg=0.032")
    run = library.load("latest", output_dir=str(trompe.outputs))
    before = tree(run.path)
    pictures = run.sample(seeds=[3, 1])
    assert len(pictures) == 2 and pictures[0].size == pictures[1].size
    assert tree(run.path) == before
    trompe("sample", str(run.path), "seeds=[3,1]", "out=made")
    made = np.asarray(Image.open(trompe.folder / "made" / "images" / "0003.png"))
    assert (np.asarray(pictures[0]) == made).all()
    assert run.config["seed"] == run.facts["seed"] and "kimg" in repr(run)
    frame = run.metrics()
    assert frame.index.name == "kimg" and "loss/generator" in frame and len(frame) > 0
    with pytest.raises(UserError, match="trompe stylize does not work"):
        run.stylize(pictures[0])
    with pytest.raises(UserError, match="seeds is empty"):
        run.sample(seeds=[])


def test_pictures_are_a_sequence_that_notebooks_show() -> None:
    pictures = Pictures(torch.zeros(5, 3, 8, 8, dtype=torch.uint8))
    assert [p.size for p in pictures] == [(8, 8)] * 5 and len(pictures[1:3]) == 2
    assert pictures.grid(columns=5).size == (5 * 10 - 2, 8)
    assert pictures._repr_png_().startswith(b"\x89PNG")


def test_the_embedded_stylizer_takes_files_images_and_arrays(tmp_path: Path) -> None:
    content, style = skimage.data.astronaut()[::4, ::4], skimage.data.coffee()[:200, :200]
    made = library.stylize(content, style)
    assert made.size == (128, 128)
    Image.fromarray(content).save(tmp_path / "c.png")
    again = library.stylize(str(tmp_path / "c.png"), Image.fromarray(style))
    assert (np.asarray(made) == np.asarray(again)).all()
    same = library.stylize(content, style, strength=0)
    assert np.abs(np.asarray(same).astype(int) - content).mean() < 3
    with pytest.raises(UserError, match="between 0 and 1"):
        library.stylize(content, style, strength=2)
    with pytest.raises(UserError, match=r"there is no|cannot be read"):
        library.stylize(tmp_path / "nothing.png", style)


def test_unknown_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = library.nothing
    with pytest.raises(UserError, match="no run folder at"):
        library.load("nowhere")
