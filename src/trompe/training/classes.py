"""What `conditional` decides in a config: how many classes the model is made for."""

from collections.abc import Mapping
from typing import Any

from trompe.data.loader import TrainingData
from trompe.errors import UserError, show
from trompe.parts import takes
from trompe.training.session import Session

# Parts of a model's config that the labels are given to.
_NETWORKS = ("generator", "discriminator")


def check_conditional(config: Mapping[str, Any]) -> None:
    """Refuse labels for a model that has no use for them, before the data are read.

    Raises:
        UserError: naming the part of the model that takes no `classes`.
    """
    wanted = config.get("conditional", False)
    if not isinstance(wanted, bool):
        raise UserError(f"conditional={show(wanted)} must be true or false")
    if not wanted:
        return
    model = config["model"]
    parts = {"model": model, **{f"model.{name}": model.get(name) for name in _NETWORKS}}
    for key, part in parts.items():
        target = part.get("_target_") if isinstance(part, Mapping) else None
        if target is None or not takes(str(target), "classes"):
            raise UserError(
                f"conditional=true: {key}._target_={target} takes no classes: choose a model that "
                "does, such as model=dcgan or model=sndcgan"
            )


def with_classes(session: Session, data: TrainingData) -> dict[str, Any]:
    """The session's config with the number of the data's classes in model and networks.

    Recorded, it makes the model again without the data.

    Raises:
        UserError: if the data have no classes, or others than the run was begun with.
    """
    config = session.config
    if not config.get("conditional", False):
        return _without_classes(session)
    count = len(class_names(data))
    if count < 2:
        raise UserError(
            f"conditional=true needs images of at least two classes, and the data have {count}: "
            "choose other data, such as data=folder with a folder for each class"
        )
    if session.resumed:
        recorded = session.run.read_config()["model"].get("classes")
        if recorded != count:
            raise UserError(
                f"the data have {count} classes, but {session.run.path} was begun with {recorded}: "
                "begin again with fresh=true"
            )
    return _filled(config, count)


def class_names(data: TrainingData) -> list[str]:
    """A name for each label of the data's images; empty if they have none."""
    return list(getattr(data, "class_names", [])) if hasattr(data, "labels") else []


def _filled(config: dict[str, Any], count: int) -> dict[str, Any]:
    model = {**config["model"], "classes": count}
    model |= {name: {**model[name], "classes": count} for name in _NETWORKS}
    return {**config, "model": model}


def _without_classes(session: Session) -> dict[str, Any]:
    config = session.config
    if not (given := config["model"].get("classes")):
        return config
    if session.parent is None:
        raise UserError(f"model.classes={given} is filled in by conditional=true: give that")
    return _filled(config, 0)  # a variation of a run that was conditional
