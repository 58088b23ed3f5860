"""The stylizer that comes with the package: weights, what they were trained with, and their card.

`stylizer.safetensors` has the averaged generator in half precision, `stylizer.json` the config of
its model and the file's hash: `scripts/embed.py` writes both. `README.md`, the model card, is
written by hand.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from trompe.engine.clock import Clock
from trompe.errors import UserError
from trompe.methods.method import Method
from trompe.methods.trained import ready

FOLDER = Path(__file__).parent
WEIGHTS, FACTS = "stylizer.safetensors", "stylizer.json"
NAME = "embedded"


def read_facts(folder: Path = FOLDER) -> dict[str, Any]:
    """What `stylizer.json` says: `model`, `sha256`, and how it was trained.

    Raises:
        UserError: if it is not there or damaged.
    """
    try:
        facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        facts["model"]["_target_"], facts["kimg"] + facts["seen_kimg"], facts["experiment"]["data"]
        facts["sha256"].isalnum(), facts["license"].isascii()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(folder / FACTS, str(error)) from error
    return facts


def read_weights(folder: Path = FOLDER) -> dict[str, Tensor]:
    """The generator's weights by name, float32.

    Raises:
        UserError: if the file is not there, or not the one whose hash the facts have.
    """
    path = folder / WEIGHTS
    try:
        stored = path.read_bytes()
    except OSError as error:
        raise _damaged(path, str(error)) from error
    found, wanted = hashlib.sha256(stored).hexdigest(), read_facts(folder)["sha256"]
    if found != wanted:
        raise _damaged(path, f"its SHA-256 begins with {found[:12]}, not {wanted[:12]}")
    try:
        return {name: tensor.float() for name, tensor in load(stored).items()}
    except SafetensorError as error:
        raise _damaged(path, str(error)) from error


def load_embedded(folder: Path = FOLDER) -> Method:
    """The method that stylizes, on the GPU if there is one.

    Raises:
        UserError: if a file is damaged.
    """
    weights, facts = read_weights(folder), read_facts(folder)
    clock = Clock(1, 1, 1)
    try:
        method: Any = instantiate(facts["model"], clock=clock, seed=0, _convert_="all")
        method.generator_ema.network.load_state_dict(weights)
    except (InstantiationException, RuntimeError) as error:
        raise _damaged(folder / FACTS, str(error).splitlines()[0]) from error
    return ready(method)


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is damaged: {reason}; install trompe again")
