"""The notebook of the documentation runs."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import FAMILIES, TINY, Trompe

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_the_notebook_runs_in_a_folder_with_a_run(
    trompe: Trompe, monkeypatch: pytest.MonkeyPatch
) -> None:
    trompe("train", *TINY, *FAMILIES["dcgan"])
    for name, value in trompe.env.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    where = {"metadata": {"path": str(trompe.folder)}}
    done = NotebookClient(notebook, timeout=120, kernel_name="python3", resources=where).execute()
    shown = [output for cell in done.cells for output in cell.get("outputs", [])]
    pictures = [output for output in shown if "image/png" in output.get("data", {})]
    assert len(pictures) == 4  # two grids, curves, a stylized photograph
    assert any("text/html" in output.get("data", {}) for output in shown)  # a table
    assert not [output for output in shown if output.get("name") == "stderr"]
    assert os.listdir(trompe.outputs) == [trompe.runs()[0].path.parent.name]


def test_the_notebook_shows_what_it_made() -> None:
    cells = [
        cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"
    ]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert len([o for o in outputs if "image/png" in o.get("data", {})]) == 4
