"""What metrics of generated images share: a row of numbers for each image."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from trompe import __version__
from trompe.errors import check_count
from trompe.metrics.score import Score, as_score
from trompe.own_code import is_own, name_of


class Comparison(Metric):
    """Numbers about `n_images` generated images.

    `prepare` once, then `update` with images and their numbers, and `compute`. The state is a
    matrix with a row for each image, added over processes: whichever process made an image, its
    row goes at its number, so values depend neither on the number of processes nor on
    which of them have images at all.

    Args:
        n_images: how many images to generate.
        columns: numbers kept of each.

    Raises:
        UserError: if `n_images` is below 2.

    Attributes:
        needs: fields of the inputs or outputs, besides `images`, that it looks at.
        with_errors: whether to estimate a standard error by resampling where no formula gives it.
        is_strict: whether a measure that needs more images is an error, or is left out.
        undefined: measures that are left out, and why: after `prepare`, those that have no meaning
            here; after `compute`, also those that need more images.
        data_fingerprint: after `prepare`, hash of the data.
    """

    is_differentiable = False
    full_state_update = False

    needs: tuple[str, ...] = ()
    rows: Tensor
    filled: Tensor

    def __init__(self, n_images: int, columns: int) -> None:
        super().__init__()
        check_count("metrics: n_images", n_images, 2)
        self.n_images = n_images
        self.data_fingerprint: str | None = None
        self.with_errors = False
        self.is_strict = True
        self.undefined: dict[str, str] = {}
        self.add_state("rows", torch.zeros(n_images, columns), dist_reduce_fx="sum")
        self.add_state("filled", torch.zeros(n_images, dtype=torch.long), dist_reduce_fx="sum")

    def prepare(self, data: Any) -> None:
        """Compare with images of `data` from now on.

        Raises:
            UserError: if they are too few or of the wrong kind.
        """
        raise NotImplementedError

    def rehearse(self, data: Any) -> None:
        """Try what is the user's own on a few images of `data`, before a run begins.

        Raises:
            UserError: if it has a mistake.
        """

    def measure_rows(self, outputs: Any, inputs: Any) -> Tensor:
        """The numbers (N, columns) of `outputs`, made from `inputs`; see `update`."""
        raise NotImplementedError

    def scores(self, rows: Tensor) -> dict[str, Score]:
        """The scores of all images' numbers (n_images, columns), by their names in a record."""
        raise NotImplementedError

    def directions(self) -> dict[str, str]:
        """Which is better of each value, ``"higher"`` or ``"lower"``, by its name in a record."""
        raise NotImplementedError

    def meet(self, method: Any) -> None:
        """Look at a method before its images are measured."""

    def protocols(self) -> dict[str, dict[str, Any]]:
        """The protocol of each value in a record, by its name."""
        raise NotImplementedError

    def of_held_out(
        self, measure: str, better: str, protocol: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The protocol of a value of held-out images, with more of what it depends on."""
        return {
            "measure": measure,
            "better": better,
            **(protocol or {}),
            "n_images": self.n_images,
            "split": "validation",
            "data": self.data_fingerprint,
            "version": __version__,
        }

    def undefined_names(self) -> dict[str, str]:
        """`undefined` by the names in a record."""
        return {}

    def update(self, outputs: Any, numbers: Tensor, inputs: Any = None) -> None:
        """Take generated images into account.

        Args:
            outputs: a named tuple, its images uint8 (N, 1 or 3, H, W); an empty one is left out.
            numbers: (N,), which of the `n_images` they are.
            inputs: a named tuple of what each was made from, if a method made them.
        """
        if len(numbers) == 0:
            return
        numbers = numbers.to(self.rows.device)
        self.rows[numbers] = self.measure_rows(outputs, inputs)
        self.filled[numbers] += 1

    def compute(self) -> dict[str, Score]:
        """The scores by their names in a record, e.g. ``fd_efflite0``.

        Raises:
            UserError: if a measure needs more images, and `is_strict`.
            RuntimeError: if an image is missing or was given twice.
        """
        if not bool((self.filled == 1).all()):
            raise RuntimeError(
                f"{int((self.filled != 1).sum())} images are missing or were given twice"
            )
        scores = self.scores(self.rows.cpu())
        if not is_own(self):
            return scores
        what = f"metrics: {name_of(self)}"
        return {name: as_score(score, f"{what}: {name}") for name, score in scores.items()}
