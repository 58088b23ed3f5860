"""What is exported, and what is known of it: the one place where a method comes from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig

from trompe.errors import UserError, is_number
from trompe.methods import embedded
from trompe.methods.labels import class_names
from trompe.methods.method import Method
from trompe.methods.trained import find_checkpoint, load_method
from trompe.runs.naming import find_run
from trompe.runs.run_folder import RunFolder
from trompe.training.beginning_weights import seen_before

_CLOCK = ("kimg", "tick")


class Source(NamedTuple):
    """A trained method, on the CPU in float32 and evaluation mode.

    `where` it is from, in messages. `name` of the run, `checkpoint` best or last, `kimg` that it
    has seen, `before` what its first weights had. `license` of the weights, as far as it is known;
    `credits`: whose pictures it was trained on, where that has to be said. `class_names` of the
    labels, for a conditional model.
    `config` of the experiment, `metrics` by name as they were last recorded. `folder`
    has the exports by default.
    """

    method: Method
    where: object
    name: str
    checkpoint: str
    kimg: float
    before: float
    license: str
    credits: str
    config: Mapping[str, Any]
    metrics: Mapping[str, float]
    folder: Path
    class_names: Sequence[str] = ()

    def facts(self) -> dict[str, Any]:
        """What a file tells of it."""
        return {
            "run": self.name,
            "checkpoint": self.checkpoint,
            "kimg": self.kimg,
            "model": self.config["model"],
            **({"class_names": list(self.class_names)} if self.class_names else {}),
        }


def source_of(cfg: DictConfig) -> Source:
    """The method that `export.yaml` names.

    Raises:
        UserError: if there is no such run or checkpoint, or it runs code that is not trusted.
    """
    if cfg.run == embedded.NAME and not Path(cfg.run).exists():
        if cfg.checkpoint != "best":
            raise UserError(f"checkpoint={cfg.checkpoint} is one of a run, not of {cfg.run}")
        return _of_package()
    return _of_run(find_run(cfg.run, cfg.paths.output_dir), cfg.checkpoint, cfg.trust)


def _of_run(run: RunFolder, checkpoint: str, trust: bool) -> Source:
    loaded, which = find_checkpoint(run, checkpoint)
    method = load_method(run, loaded, trust).to(device="cpu", dtype=torch.float32)
    kimg = loaded["clock"]["images"] / 1000
    facts = run.read_facts()
    return Source(
        method=method,
        where=run.path,
        name=run.path.name,
        checkpoint=which,
        kimg=kimg,
        before=seen_before(facts),
        license="unknown",
        credits=facts.get("data_credits", ""),
        config=run.read_config(),
        metrics=_metrics(run, kimg),
        folder=run.path / "exported",
        class_names=class_names(method, facts),
    )


def _of_package() -> Source:
    facts = embedded.read_facts()
    return Source(
        method=embedded.load_embedded().to(device="cpu", dtype=torch.float32),
        where="the embedded stylizer",
        name=embedded.NAME,
        checkpoint="last",
        kimg=facts["kimg"],
        before=facts["seen_kimg"] - facts["kimg"],
        license=facts["license"],
        credits="",
        config={**facts["experiment"], "model": facts["model"]},
        metrics={},
        folder=Path("exported") / embedded.NAME,
    )


def _metrics(run: RunFolder, kimg: float) -> dict[str, float]:
    """Each metric's last value up to a checkpoint."""
    found: dict[str, float] = {}
    for record in run.iterate_metrics():
        if record["kimg"] <= kimg + 1e-9:
            measured = {k: v for k, v in record.items() if "/" not in k and k not in _CLOCK}
            found |= {k: float(v) for k, v in measured.items() if is_number(v)}
    return found
