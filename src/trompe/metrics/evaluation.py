"""All metrics of one method's images: one pass of generation, at intervals or on demand."""

from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch import Tensor
from tqdm import tqdm

from trompe.engine.share import Share
from trompe.errors import UserError, check_positive
from trompe.images import to_uint8
from trompe.methods.capabilities import Generates, on, take
from trompe.metrics.comparison import Comparison
from trompe.metrics.score import Score
from trompe.own_code import name_of, own_code

# Images generated at once. Fixed, and dealt to processes whole, because rounding depends on what
# shares a batch: thus values are the same with any number of processes, in training and after.
BLOCK = 64


class Evaluation:
    """The metrics that a run tracks.

    Args:
        metrics: comparisons by name.
        every_kimg: thousands of images between two evaluations.

    Raises:
        UserError: if that is not above 0.
    """

    def __init__(self, metrics: Mapping[str, Comparison], every_kimg: float) -> None:
        check_positive("evaluation.every_kimg", every_kimg)
        self.metrics = dict(metrics)
        self.every_kimg = every_kimg
        self._said: set[str] = set()

    @property
    def directions(self) -> dict[str, str]:
        """Whether ``"higher"`` or ``"lower"`` is better, of each value by its name in a record."""
        return {k: v for metric in self.metrics.values() for k, v in metric.directions().items()}

    def prepare(self, data: Any, device: torch.device, seed: int) -> dict[str, dict[str, Any]]:
        """Prepare the references (cached by content); returns the protocol of each value.

        Raises:
            UserError: if a measure has no meaning for the data.
        """
        protocols: dict[str, dict[str, Any]] = {}
        for name, metric in self.metrics.items():
            with own_code(f"metrics.{name}"):
                metric.to(device).prepare(data)
            for measure, why in metric.undefined.items():
                raise UserError(f"metrics.{name}.measures: {measure} cannot be tracked: {why}")
            with own_code(f"metrics.{name}"):
                found = metric.protocols()
            protocols |= {value: {**protocol, "seed": seed} for value, protocol in found.items()}
        return protocols

    def run(self, method: Any, data: Any, share: Share) -> dict[str, float]:
        """The values now, by their names in a record. Collective."""
        scores = evaluate(method, self.metrics, data, share)
        self._say({score.note for score in scores.values() if score.note})
        return {name: score.value for name, score in scores.items()}

    @rank_zero_only
    def _say(self, notes: set[str]) -> None:
        # A note's numbers change from tick to tick; what it says is before the colon.
        for note in sorted(notes):
            if (what := note.partition(":")[0]) not in self._said:
                tqdm.write(f"note: {note}")
                self._said.add(what)


def check_measurable(method: Any, metrics: Mapping[str, Comparison]) -> None:
    """Refuse metrics that need outputs that the method does not make; the others meet it.

    Raises:
        UserError: naming them.
    """
    if metrics and not isinstance(method, Generates):
        raise UserError(
            f"metrics=[{','.join(metrics)}]: this model makes no images to measure: set metrics=[]"
        )
    for name, metric in metrics.items():
        if not isinstance(metric, Comparison):
            raise UserError(
                f"metrics.{name} is a {name_of(metric)}: it must be of a subclass of "
                f"{name_of(Comparison)}, such as trompe.metrics.feature_comparison"
                ".FeatureComparison with your measure in its measures"
            )
        metric.meet(method)
        given = {*method.inputs_type._fields, *method.outputs_type._fields}
        missing = [field for field in metric.needs if field not in given]
        if missing:
            raise UserError(
                f"metrics: {name} compares images with their {' and '.join(missing)}, but this "
                f"model has {', '.join(sorted(given))}: choose other metrics"
            )


def evaluate(
    method: Any, metrics: Mapping[str, Comparison], data: Any, share: Share | None = None
) -> dict[str, Score]:
    """All metrics' scores for the images of a method that `Generates`. Collective.

    The images are made from inputs that depend on data and seed alone, so the same weights give
    the same values at any time and with any number of processes.
    """
    share = share or Share()
    count = max(metric.n_images for metric in metrics.values())
    inputs = method.draw_inputs(data, count, "evaluation")
    for metric in metrics.values():
        metric.reset()
    for numbers in share.deal(torch.arange(count).split(BLOCK)):
        outputs = method.generate(on(method.device, take(inputs, numbers)))
        outputs = type(outputs)(*map(_finished, outputs))
        for name, metric in metrics.items():
            kept = numbers[numbers < metric.n_images]
            with own_code(f"metrics.{name}"):
                metric.update(take(outputs, slice(len(kept))), kept, take(inputs, kept))
    scores: dict[str, Score] = {}
    for name, metric in metrics.items():
        with own_code(f"metrics.{name}"):
            scores |= metric.compute()
    return scores


def _finished(output: Tensor) -> Tensor:
    """Images as files hold them; other outputs as they are."""
    return to_uint8(output) if output.dim() == 4 else output
