"""Stylizers that were trained: a run's generator, or the one that comes with the package."""

from typing import Any

from trompe.errors import UserError
from trompe.methods import embedded
from trompe.methods.trained import find_checkpoint, load_method
from trompe.methods.usage import require
from trompe.runs.naming import find_run
from trompe.stylizers.feed_forward import FeedForward


class Trained(FeedForward):
    """The averaged generator of a run's checkpoint.

    Args:
        run: the run folder, or latest.
        checkpoint: last or best.
        output_dir: below which the latest run is looked for.
        trust: whether the run may name code of its own.
        common: see `FeedForward`.

    Raises:
        UserError: if the run has no such checkpoint or makes no pictures from pictures, or a value
            is wrong.
    """

    def __init__(
        self,
        run: str | None,
        checkpoint: str,
        *,
        output_dir: str = "outputs",
        trust: bool = False,
        **common: Any,
    ) -> None:
        if run is None:
            raise UserError("run= is missing: name the folder of a style-transfer run")
        folder = find_run(run, output_dir)
        loaded, which = find_checkpoint(folder, checkpoint)
        method = load_method(folder, loaded, trust)
        require(method, "stylize", folder.path)
        run_id, images = folder.read_facts().get("id"), loaded["clock"]["images"]
        name = f"{folder.path.name} ({which})"
        super().__init__(method, name, f"{run_id} after {images} images", **common)


class Embedded(FeedForward):
    """The stylizer that comes with the package, for any style.

    Args:
        common: see `FeedForward`.

    Raises:
        UserError: if its weights are damaged, or a value is wrong.
    """

    def __init__(self, **common: Any) -> None:
        method, sha256 = embedded.load_embedded(), embedded.read_facts()["sha256"]
        super().__init__(method, "the embedded stylizer", sha256[:12], **common)


def choose(
    run: str | None, checkpoint: str, output_dir: str, trust: bool, **common: Any
) -> FeedForward:
    """The stylizer of a run, if one is named, else, or as `embedded`, the embedded one.

    Raises:
        UserError: if a checkpoint is chosen and no run; see `Trained` and `Embedded`.
    """
    if run in (None, embedded.NAME):
        if checkpoint != "last":
            raise UserError(f"checkpoint={checkpoint} is one of a run: name that with run=")
        return Embedded(**common)
    assert run is not None
    return Trained(run, checkpoint, output_dir=output_dir, trust=trust, **common)
