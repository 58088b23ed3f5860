"""The weights alone, as safetensors, with a JSON file that says what they are."""

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save

from trompe.exports.exportable import Exportable
from trompe.exports.program import Run

FILE, FACTS = "model.safetensors", "model.json"


def write(module: Exportable, facts: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write the weights that a module uses, and the JSON beside them; returns both files.

    Args:
        module: with the weights.
        facts: of the model, for the JSON.
        folder: for the files.
    """
    # Copies, since safetensors refuses weights that share memory.
    weights = {name: tensor.clone().contiguous() for name, tensor in module.state_dict().items()}
    path, told = folder / FILE, folder / FACTS
    content = save(weights, metadata={"format": "pt"})
    path.write_bytes(content)  # not by the library, whose error for a full disk is no OSError
    described = {
        **facts,
        "inputs": {
            entry.name: _described(entry.shape, entry.meaning, entry.dtype)
            for entry in module.inputs
        },
        "outputs": {module.output: _described(("batch", "channels", "height", "width"), "[-1, 1]")},
        "tensors": {
            name: {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
            for name, tensor in weights.items()
        },
        "file": FILE,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    told.write_text(json.dumps(described, indent=2) + "\n")
    return [path, told]


def load(path: Path, module: Exportable) -> Run:
    """A copy of the module in which all weights are those of the file, and none its own.

    Raises:
        RuntimeError: if the file's weights are not those of the module.
    """
    fresh = copy.deepcopy(module)
    for tensor in fresh.state_dict().values():
        tensor.fill_(float("nan") if tensor.is_floating_point() else 0)
    fresh.load_state_dict(load_file(path))
    return fresh


def five_lines(folder: Path | str) -> str:
    """Python that loads the weights without trompe, from anywhere."""
    return "\n".join(
        [
            "import hashlib, json, pathlib, safetensors.torch",
            f"folder = pathlib.Path({str(folder)!r})",
            f'model, file = json.loads((folder / "{FACTS}").read_text()), folder / "{FILE}"',
            'assert hashlib.sha256(file.read_bytes()).hexdigest() == model["sha256"]',
            "weights = safetensors.torch.load_file(file)  # torch tensors, by name",
        ]
    )


def _described(
    shape: tuple[int | str, ...], meaning: str, dtype: str = "float32"
) -> dict[str, Any]:
    return {"shape": list(shape), "dtype": dtype, "range": meaning}
