"""What a generator with styles can do: truncation, mixed styles, walks through them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import FAMILIES, TINY, Trompe, load
from tests.runs.test_processes import check_alike

SIDE = 16
STYLEGAN = ["model=stylegan2", "model.generator.base=64", "model.generator.max_width=8"]
STYLEGAN += ["model.generator.latent_dim=8", "model.generator.style_dim=8"]
STYLEGAN += ["model.penalty_every={r1:2,path_length:2}", "+model.optimizer.eps=1e-4"]


def tiles(path: Path) -> np.ndarray:
    """The images of a grid, (rows, columns, side, side, 3)."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    rows, columns = ((size + 2) // (SIDE + 2) for size in pixels.shape[:2])
    found = [
        [pixels[y * (SIDE + 2) :, x * (SIDE + 2) :][:SIDE, :SIDE] for x in range(columns)]
        for y in range(rows)
    ]
    return np.array(found)


def train(trompe: Trompe) -> Path:
    trompe("train", *TINY, *STYLEGAN, "kimg=0.096")
    return trompe.runs()[0].path


def test_samples_of_a_run_with_styles(trompe: Trompe) -> None:
    run = train(trompe)
    asked = ["sample", f"run={run}", "n=4", "checkpoint=last"]
    trompe(*asked, "out=plain", "mix=[3,1,2]", "neighbors=1")
    plain = trompe.folder / "plain"
    assert {path.name for path in plain.iterdir()} == {
        *("images", "grid.png", "interpolation.png", "interpolation.gif"),
        *("mix_coarse.png", "mix_middle.png", "neighbors.png"),
    }
    # Mixed: itself on the diagonal, the sources in the first row and column.
    grid = tiles(plain / "grid.png").reshape(-1, SIDE, SIDE, 3)
    for name in ("mix_coarse.png", "mix_middle.png"):
        table = tiles(plain / name)
        assert table.shape[:2] == (4, 4) and bool((table[0, 0] == 255).all())
        for i, seed in enumerate((3, 1, 2), 1):
            for image in (table[0, i], table[i, 0], table[i, i]):
                assert np.abs(image - grid[seed]).max() <= 1
        assert np.abs(table[1, 2] - table[2, 1]).max() > 0
    # Neighbors: itself in the middle.
    around = tiles(plain / "neighbors.png")
    assert around.shape[:2] == (5, 5)
    assert np.abs(around[2, 2] - grid[1]).max() <= 1
    assert np.abs(around[0, 0] - grid[1]).max() > np.abs(around[2, 3] - grid[1]).max() > 0
    # Truncated: all images the mean's at 0, between at 0.5.
    trompe(*asked, "out=mean", "truncation=0", "interpolation.keyframes=0")
    trompe(*asked, "out=half", "truncation=0.5", "interpolation.ease=false")
    mean, half = (tiles(trompe.folder / name / "grid.png") for name in ("mean", "half"))
    assert np.abs(mean - mean[0, 0]).max() <= 1
    spread = [np.abs(images - mean[0, 0]).mean() for images in (tiles(plain / "grid.png"), half)]
    assert spread[1] < 0.8 * spread[0]


def test_a_run_without_styles_has_neighbors_and_says_the_rest_in_a_line(trompe: Trompe) -> None:
    trompe("train", *TINY, *FAMILIES["mlp_gan"], "kimg=0.048")
    (run,) = trompe.runs()
    asked = ["sample", f"run={run.path}", "n=2", "checkpoint=last"]
    message = trompe.fails(*asked, "truncation=0.7")
    assert "truncation=0.7: the model of" in message and "has no such option" in message
    message = trompe.fails(*asked, "mix=[1,2]")
    assert "has no styles to mix: train one that has, such as model=stylegan2" in message
    assert "neighbors=-1 must be a whole number" in trompe.fails(*asked, "neighbors=-1")
    assert "neighbor_step=0 must be" in trompe.fails(*asked, "neighbor_step=0")
    assert not (run.path / "generated").exists()
    trompe(*asked, "neighbors=1", "out=made")
    grid = tiles(trompe.folder / "made" / "grid.png")
    around = tiles(trompe.folder / "made" / "neighbors.png")
    assert np.abs(around[2, 2] - grid[0, 1]).max() <= 1


def test_wrong_mixes_are_one_line(trompe: Trompe) -> None:
    run = train(trompe)
    asked = ["sample", f"run={run}", "n=2", "checkpoint=last"]
    assert "mix=[1] must name at least two seeds" in trompe.fails(*asked, "mix=[1]")
    assert "mix=a cannot be read at 'a'" in trompe.fails(*asked, "mix=a")
    assert "truncation=x must be a number" in trompe.fails(*asked, "truncation=x")


@pytest.mark.parametrize("model", ["stylegan2", "r3gan"])
def test_two_processes_equal_one(trompe: Trompe, model: str) -> None:
    r3gan = ["model=r3gan", "model.generator.widths=[8]", "model.augment.probability=0.3"]
    arguments = [*TINY, *(STYLEGAN if model == "stylegan2" else r3gan), "kimg=0.048"]
    arguments += ["+model.optimizer.eps=1e-4"] if model == "r3gan" else []
    trompe("train", *arguments, "name=a_one")
    trompe("train", *arguments, "name=b_two", "trainer=ddp_cpu")
    one, two = trompe.runs()
    check_alike(one, two, 1e-5)
    if model == "stylegan2":
        state = load(one.last_checkpoint)["state_dict"]
        assert float(state["generator_penalties.path_length.mean"]) > 0
