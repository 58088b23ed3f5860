"""Translations between two kinds of images, in both directions, and what goes wrong with them."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trompe.data.unpaired import UnpairedData
from trompe.errors import UserError
from trompe.images import luminance
from trompe.metrics.comparison import Comparison
from trompe.metrics.feature_comparison import FeatureComparison
from trompe.metrics.score import Score

_DIRECTIONS = {"a_to_b": "images", "b_to_a": "b_to_a"}  # and the field of the translations


class DirectedComparison(FeatureComparison):
    """Measures of the translations in one direction against images of the kind they should be.

    Recorded with the direction behind the name, such as ``fd_efflite0_a_to_b``.

    Args:
        direction: a_to_b or b_to_a.
        common: see `FeatureComparison`.

    Raises:
        UserError: if there is no such direction.
    """

    def __init__(self, direction: str, **common: Any) -> None:
        super().__init__(**common)
        if direction not in _DIRECTIONS:
            known = " nor ".join(_DIRECTIONS)
            raise UserError(f"metrics: direction={direction} is neither {known}")
        self.direction = direction
        if self.needs:
            raise UserError("metrics: translations have no classes: choose no measure per class")
        self.needs = ("b_to_a",)

    def record_name(self, measure: str) -> str:
        """See `FeatureComparison`."""
        return f"{super().record_name(measure)}_{self.direction}"

    def prepare(self, data: Any) -> None:
        """Compare with the training images of the target.

        Raises:
            UserError: if the data are not of two kinds, or there are too few.
        """
        _check_two_kinds(data)
        super().prepare(data.b if self.direction == "a_to_b" else data.a)

    def measure_rows(self, outputs: Any, inputs: Any) -> Tensor:
        """The features of the translations."""
        return self.features(outputs._asdict()[_DIRECTIONS[self.direction]])


class TranslationComparison(Comparison):
    """Means over held-out images of both kinds; distances are shares of the range of gray levels.

    For each direction, or each kind:

    - ``cycle_a``: |F(G(a)) - a|.
    - ``truth_a_to_b``: |G(a) - b| for the b that is a's counterpart, where the data have it.
    - ``change_a_to_b``: |G(a) - a| over the mean |b - a|. Near 0 the generator does nothing.
    - ``luminance_a_to_b``: correlation of a's and G(a)'s luminance, minus that of a's and its
      counterpart's where the data have it. Far below 0, light and dark have changed places.
    - ``hidden_a``: |F(G(a) + noise) - a| over ``cycle_a``, the noise two gray levels strong. Far
      above 1, G hides in its image what F needs (Chu et al. 2017,
      https://arxiv.org/abs/1712.02950, sec. 4).
    - ``gap_a``: the discriminator's mean logit of real images minus that of translations. Near 0 it
      cannot tell them apart at all; near the distance of its targets, 1 with least squares, it has
      won. Either way it teaches nothing.

    A value beyond its limit comes with a note that names what is wrong.

    Args:
        n_images: pairs of images.
        limits: of change, luminance, hidden and gap, and of the gap of one that has won.
    """

    needs = ("b_to_a", "cycle_a", "cycle_b", "noisy_cycle_a", "noisy_cycle_b", "logits")

    def __init__(self, n_images: int, limits: Mapping[str, float]) -> None:
        super().__init__(n_images, 16)
        self.limits = dict(limits)
        self.has_truth = False
        self.distinct = n_images

    def prepare(self, data: Any) -> None:
        """Record which data the images come from.

        Raises:
            UserError: if these are not of two kinds.
        """
        _check_two_kinds(data)
        self.has_truth = data.has_counterparts
        self.distinct = min(side.split_size("validation") for side in (data.a, data.b))
        self.data_fingerprint = data.fingerprint

    def measure_rows(self, outputs: Any, inputs: Any) -> Tensor:
        """Eight numbers of each direction."""
        o, a, b = outputs, inputs.a.to(outputs.images.device), inputs.b.to(outputs.images.device)
        # The order of the held-out images is random, so that a neighbor is any other image.
        ways = (
            (a, o.images, b, o.cycle_a, o.noisy_cycle_a, o.logits[:, :2]),
            (b, o.b_to_a, a, o.cycle_b, o.noisy_cycle_b, o.logits[:, 2:]),
        )
        columns = []
        for source, made, other, cycle, noisy, logits in ways:
            columns += [
                _distance(cycle, source),
                _distance(made, other),
                _distance(made, source),
                _distance(other.roll(1, 0), source),
                self._correlation(made, source, other),
                _distance(noisy, source),
                logits[:, 0],
                logits[:, 1],
            ]
        return torch.stack(columns, 1).to(self.rows.dtype)

    def _correlation(self, made: Tensor, source: Tensor, other: Tensor) -> Tensor:
        light = _luminance(source)
        found = _correlation(_luminance(made), light)
        return found - _correlation(_luminance(other), light) if self.has_truth else found

    def scores(self, rows: Tensor) -> dict[str, Score]:
        """The means by their names."""
        scores: dict[str, Score] = {}
        for kind, other, part in (("a", "b", rows[:, :8]), ("b", "a", rows[:, 8:])):
            way = f"{kind}_to_{other}"
            means = part.double().mean(0)
            # Where few images are held out they are repeated, which tells nothing more of them.
            own = part[: self.distinct].double()
            errors = own.std(0) / len(own) ** 0.5
            of_cycle, of_truth = errors[:2].tolist() if len(own) > 1 else (None, None)
            cycle, truth, moved, apart, luminance, noisy, real, fake = means.tolist()
            scores[f"cycle_{kind}"] = Score(cycle, of_cycle)
            if self.has_truth:
                scores[f"truth_{way}"] = Score(truth, of_truth)
            scores |= self._checks(way, kind, other, moved / max(apart, 1e-6), luminance)
            scores[f"hidden_{kind}"] = self._hidden(way, noisy / max(cycle, 1e-6))
            scores[f"gap_{other}"] = self._gap(other, real - fake)
        return scores

    def _checks(
        self, way: str, kind: str, other: str, change: float, luminance: float
    ) -> dict[str, Score]:
        nothing = inverted = None
        if change < self.limits["change"]:
            nothing = f"{way} does nothing: images move {change:.0%} of the distance to {other}"
        if luminance < self.limits["luminance"]:
            inverted = f"{way} inverts colors: light and dark correlate by {luminance:.2f}"
        return {
            f"change_{way}": Score(change, note=nothing),
            f"luminance_{way}": Score(luminance, note=inverted),
        }

    def _hidden(self, way: str, hidden: float) -> Score:
        note = None
        if hidden > self.limits["hidden"]:
            note = f"{way} hides information: noise makes the way back {hidden:.1f} times worse"
        return Score(hidden, note=note)

    def _gap(self, kind: str, gap: float) -> Score:
        note = None
        if abs(gap) < self.limits["gap"]:
            note = f"the discriminator of {kind} is dead: it separates real from fake by {gap:.3f}"
        elif gap > self.limits["won"]:
            note = f"the discriminator of {kind} has won: it separates real from fake by {gap:.3f}"
        return Score(gap, note=note)

    def directions(self) -> dict[str, str]:
        """Which is better of each value."""
        found: dict[str, str] = {}
        for kind, way in (("a", "a_to_b"), ("b", "b_to_a")):
            found |= {f"cycle_{kind}": "lower", f"truth_{way}": "lower", f"hidden_{kind}": "lower"}
            found |= {f"change_{way}": "higher", f"luminance_{way}": "higher"}
            found[f"gap_{kind}"] = "lower"
        return found

    def protocols(self) -> dict[str, dict[str, Any]]:
        """The protocol of each value in a record, by its name."""
        return {
            name: self.of_held_out(f"{type(self).__name__}.{name}", better)
            for name, better in self.directions().items()
            if self.has_truth or not name.startswith("truth_")
        }


def _check_two_kinds(data: Any) -> None:
    if not isinstance(data, UnpairedData):
        raise UserError("metrics: translations need images of two kinds: choose data=unpaired")


def _distance(images: Tensor, others: Tensor) -> Tensor:
    """Mean absolute difference of uint8 images (N, C, H, W), (N,) in [0, 1]."""
    return (images.float() - others.float()).abs().mean((1, 2, 3)) / 255


def _luminance(images: Tensor) -> Tensor:
    """(N, H W) of uint8 images (N, 1 or 3, H, W)."""
    return luminance(images.float()).flatten(1)


def _correlation(x: Tensor, y: Tensor) -> Tensor:
    """Pearson's, of each row; 0 for a row without variance."""
    x, y = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
    scale = (x.square().sum(1) * y.square().sum(1)).sqrt()
    return (x * y).sum(1) / scale.clamp_min(1e-6)
