"""ArtFID: content kept and style met in one number, which is always recorded with its factors."""

import math
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from trompe.metrics.comparison import Comparison
from trompe.metrics.feature_comparison import FeatureComparison
from trompe.metrics.features import FeatureNetwork
from trompe.metrics.pairs import PairComparison, PairMeasure
from trompe.metrics.score import Score


class ArtFID(Comparison):
    """(1 + content distance)(1 + Fréchet distance to the styles); less is better, at best 1.

    Wright and Ommer 2022, https://arxiv.org/abs/2207.12280, sec. 3, with LPIPS and FID. Recorded as
    ``artfid`` with Inception's features, else ``artfd_<features>``, with both factors: either
    may grow while the product falls.

    Args:
        content: the measure of the content; LPIPS in the paper.
        features: of which the Fréchet distance is taken; Inception's in the paper.
        n_images: how many images to generate, each from a different pair.
        n_reference: how many styles to compare with, at most.
        split: the split of the data that they come from.
        cache_dir: see `FeatureComparison`.

    Raises:
        UserError: if a count is below 2.
    """

    needs = ("content", "style")

    def __init__(
        self,
        content: PairMeasure,
        features: FeatureNetwork,
        n_images: int,
        n_reference: int,
        split: Literal["train", "validation"] = "train",
        cache_dir: Path | str | None = None,
    ) -> None:
        super().__init__(n_images, 1 + features.dim)
        self.content = PairComparison({"content": content}, n_images)
        self.style = FeatureComparison(features, ["fd"], n_images, n_reference, split, cache_dir)
        self._names = content.name, features.record_name("fd")
        self.name = f"art{self._names[1]}"

    def prepare(self, data: Any) -> None:
        """See `Comparison`."""
        self.content.prepare(data)
        self.style.prepare(data)
        self.data_fingerprint = self.content.data_fingerprint

    def measure_rows(self, outputs: Any, inputs: Any) -> Tensor:
        """The content's measure and the features of the images."""
        content = self.content.measure_rows(outputs, inputs)
        return torch.cat([content, self.style.measure_rows(outputs, inputs)], 1)

    def scores(self, rows: Tensor) -> dict[str, Score]:
        """Both factors and their product, whose error is to first order."""
        self.style.with_errors = self.with_errors
        scores = {**self.content.scores(rows[:, :1]), **self.style.scores(rows[:, 1:])}
        (kept, kept_error, _), (met, met_error, note) = (scores[name][:3] for name in self._names)
        error = None
        if kept_error is not None and met_error is not None:
            error = math.hypot(kept_error * (1 + met), met_error * (1 + kept))
        return {**scores, self.name: Score((1 + kept) * (1 + met), error, note)}

    def directions(self) -> dict[str, str]:
        """Less is better of each value."""
        return {**self.content.directions(), **self.style.directions(), self.name: "lower"}

    def protocols(self) -> dict[str, dict[str, Any]]:
        """The protocol of each value in a record, by its name."""
        factors = {**self.content.protocols(), **self.style.protocols()}
        content, style = (factors[name] for name in self._names)
        return {**factors, self.name: {**style, "measure": "ArtFID", "content": content}}
