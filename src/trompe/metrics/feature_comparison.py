"""Generated against real images in one feature space: one pass of features, many measures."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from trompe import __version__
from trompe.errors import UserError, check_count
from trompe.lookup import find_function
from trompe.metrics import measures as known_measures
from trompe.metrics.comparison import Comparison
from trompe.metrics.features import FeatureNetwork
from trompe.metrics.marks import is_per_class, undefined
from trompe.metrics.order import random_order
from trompe.metrics.own_measures import call, code_sha256, rehearsal
from trompe.metrics.reference import Reference, ReferenceData, extract, load_reference
from trompe.metrics.score import Score, bootstrap_error
from trompe.own_code import is_own


class FeatureComparison(Comparison):
    """Measures of `n_images` generated images against a reference; all uint8 (N, 1 or 3, H, W).

    Args:
        features: the feature network.
        measures: names of functions in `trompe.metrics.measures`, or dotted paths. One of the
            user's own may return a number, a `Score`, or a mapping of names to these.
        n_images: how many images to generate.
        n_reference: how many images of the data to compare with, at most.
        split: the split of the data that they come from.
        cache_dir: where `prepare` keeps the reference's features; None computes them every time.

    Raises:
        UserError: if a measure is not known, or a count is below 2.
    """

    def __init__(
        self,
        features: FeatureNetwork,
        measures: Sequence[str],
        n_images: int,
        n_reference: int,
        split: Literal["train", "validation"] = "train",
        cache_dir: Path | str | None = None,
    ) -> None:
        functions = {
            name.rpartition(".")[2]: find_function(known_measures.__name__, "", name, "measures")
            for name in measures
        }
        self._is_teacher = False
        with_labels = any(map(is_per_class, functions.values()))
        super().__init__(n_images, features.dim + with_labels)
        check_count("metrics: n_reference", n_reference, 2)
        self.features = features
        self.measures = functions
        self.needs = ("labels",) if with_labels else ()
        self._parts: dict[str, tuple[str, ...]] = dict.fromkeys(self.measures, ("",))
        self.n_reference = n_reference
        self.split = split
        self.cache_dir = cache_dir
        self.reference: Reference | None = None

    def record_name(self, measure: str) -> str:
        """What a measure's value is called in a record."""
        return self.features.record_name(measure)

    def prepare(self, data: ReferenceData) -> None:
        """Compare with images of `data` from now on, by features from the cache if it has them.

        Raises:
            UserError: if the split has fewer than 2 images.
        """
        self.reference = load_reference(
            self.features, data, self.split, self.n_reference, self.cache_dir
        )
        self.data_fingerprint = data.fingerprint
        if "memorization" in self.measures and data.split_size("validation"):
            chosen = random_order(data.split_size("validation"), "held out")[: self.n_images]
            held_out = extract(self.features, data, "validation", chosen)
            self.reference.held_out = held_out
        reasons = {
            name: undefined(function, self.reference) for name, function in self.measures.items()
        }
        self.undefined = {name: why for name, why in reasons.items() if why is not None}

    def measure_rows(self, outputs: Any, inputs: Any) -> Tensor:
        """The features of the images, a tensor or one by one: see `FeatureNetwork`.

        With a measure per class, their labels are the last column.

        Raises:
            UserError: if nobody knows the labels.
        """
        features = self.features(outputs.images)
        if "labels" not in self.needs:
            return features
        if inputs is None:
            raise UserError(
                "metrics: a measure per class needs the classes that images were generated for: "
                "evaluate a conditional run, by run="
            )
        return torch.cat([features, inputs.labels[:, None].to(features)], 1)

    def scores(self, rows: Tensor) -> dict[str, Score]:
        """The measures of all images' features.

        Raises:
            UserError: if a measure needs more images, and `is_strict`.
            RuntimeError: if nothing was prepared.
        """
        if self.reference is None:
            raise RuntimeError("call prepare first")
        scores = {}
        for name, function in self.measures.items():
            if name in self.undefined:
                continue
            try:
                found = call(function, self.reference, rows)
            except ValueError as error:
                if self.is_strict:
                    raise UserError(f"metrics: {name}: {error}") from error
                self.undefined[name] = str(error)
                continue
            self._parts[name] = tuple(found)
            for part, score in found.items():
                if self.with_errors and score.standard_error is None:
                    measure = partial(_part, function, self.reference, part)
                    score = score._replace(standard_error=bootstrap_error(measure, rows))
                scores[self._name(name, part)] = score
        return scores

    def rehearse(self, data: ReferenceData) -> None:
        """Try the measures of the user's own, and learn by which names they return values.

        Raises:
            UserError: if one has a mistake, returns no score, or needs more images.
        """
        own = {name: function for name, function in self.measures.items() if is_own(function)}
        if not own:
            return
        sizes = self.n_reference, self.n_images
        reference, made = rehearsal(self.features, data, self.split, *sizes)
        for name, function in own.items():
            try:
                self._parts[name] = tuple(call(function, reference, made))
            except ValueError as error:
                raise UserError(f"metrics: {name}: {error}") from error

    def _name(self, measure: str, part: str) -> str:
        return self.record_name(f"{measure}_{part}" if part else measure)

    def _names(self) -> dict[str, str]:
        """The measure of each value, by its name in a record."""
        return {
            self._name(name, part): name for name in self.measures for part in self._parts[name]
        }

    def undefined_names(self) -> dict[str, str]:
        """`undefined` by the names in a record."""
        return {self.record_name(name): why for name, why in self.undefined.items()}

    def directions(self) -> dict[str, str]:
        """Which is better of each value, ``"higher"`` or ``"lower"``, by its name in a record."""
        marked = {
            name: getattr(function, "higher_is_better", False)
            for name, function in self.measures.items()
        }
        return {v: "higher" if marked[name] else "lower" for v, name in self._names().items()}

    def meet(self, method: Any) -> None:
        """Note whether the method learned from these features, which then judge their own pupil."""
        family = self.features.name.partition("_")[0]
        self._is_teacher = family in teachers_of(method)

    def protocol(self) -> dict[str, Any]:
        """What the values depend on besides the generated images; equal cards can be compared."""
        return {
            "features": self.features.name,
            "features_sha256": self.features.fingerprint,
            "resizing": f"{self.features.resizing} to {self.features.input_size} px",
            "precision": "float32 features, float64 measures",
            "n_images": self.n_images,
            "n_reference": None if self.reference is None else len(self.reference),
            "split": self.split,
            "data": self.data_fingerprint,
            **({"learned_from": "these features"} if self._is_teacher else {}),
            "version": __version__,
        }

    def protocols(self) -> dict[str, dict[str, Any]]:
        """The protocol of each value in a record, by its name."""
        common, directions = self.protocol(), self.directions()
        return {
            value: {
                "measure": f"{self.measures[name].__module__}.{name}",
                "better": directions[value],
                **_own_code(self.measures[name]),
                **common,
            }
            for value, name in self._names().items()
            if name not in self.undefined
        }


def teachers_of(method: Any) -> list[str]:
    """The pretrained networks that a method's discriminator looks through, by name."""
    return sorted({name for m in method.modules() for name in getattr(m, "teachers", ())})


def _part(function: Callable[..., Any], reference: Reference, part: str, rows: Tensor) -> Score:
    return call(function, reference, rows)[part]


def _own_code(function: Callable[..., Any]) -> dict[str, str]:
    return {"measure_sha256": code_sha256(function)} if is_own(function) else {}
