"""Which of a set's folders hold its images, and which only divide or wrap them."""

from collections import Counter

from trompe.errors import UserError

_TRAINING = {"train", "training"}
# What a set is divided into for other purposes than training.
_SPLITS = {
    *_TRAINING,
    *("val", "valid", "validation", "dev", "develop", "development", "eval", "evaluation"),
    *("test", "testing", "holdout", "held_out", "heldout", "query", "gallery", "extra"),
    *("unlabeled", "unlabelled", "minival", "testdev", "challenge"),
}


def find_root(names: list[str], subfolder: str | None, location: str) -> tuple[str, str | None]:
    """What the names of all wanted pictures begin with.

    Args:
        names: of all pictures, with forward slashes.
        subfolder: the wanted folder; ``"auto"``: the one of training pictures, if all beside it are
            of other splits, else everything; None: everything.
        location: of the set, for messages.

    Returns:
        The beginning, empty or with a slash at its end; and a line for the user if a folder of
        training pictures was taken or not taken.

    Raises:
        UserError: if there is no such folder.
    """
    wrappers = _wrappers(names)
    # Folders around everything are not classes, as long as there are folders below them.
    everything = max((w for w in wrappers if all("/" in n[len(w) :] for n in names)), default="")
    if subfolder is None:
        return everything, None
    if subfolder == "auto":
        return _training(names, wrappers, everything)
    for wrapper in wrappers:
        root = f"{wrapper}{subfolder.strip('/')}/"
        if any(name.startswith(root) for name in names):
            return root, None
    there = sorted(_folders(names, everything))
    raise UserError(
        f"data.subfolder={subfolder}: {location} has no pictures in such a folder; "
        + (f"it has {', '.join(there)}" if there else "it has no subfolders: set it to null")
    )


def _training(names: list[str], wrappers: list[str], everything: str) -> tuple[str, str | None]:
    for wrapper in wrappers:
        folders = _folders(names, wrapper)
        training = [folder for folder in folders if folder.lower() in _TRAINING]
        if not training:
            continue
        others = sorted(folder for folder in folders if folder.lower() not in _SPLITS)
        if others or len(training) > 1:
            beside = _few([*others, *sorted(training)[1:]])
            return everything, f"all folders are used, {training[0]}/ as one beside {beside}"
        root = f"{wrapper}{training[0]}/"
        left = _left(names, root, wrapper)
        return root, f"only {training[0]}/ is used, left out: {left}" if left else None
    return everything, None


def _left(names: list[str], root: str, wrapper: str) -> str:
    """The folders and pictures beside a root."""
    beside = [name.removeprefix(wrapper) for name in names if not name.startswith(root)]
    counts = Counter(f"{name.split('/')[0]}/" if "/" in name else "" for name in beside)
    loose = counts.pop("", 0)
    told = [f"{folder} ({count})" for folder, count in sorted(counts.items())]
    return ", ".join([*told, *([f"{loose} beside it"] if loose else [])])


def _few(folders: list[str]) -> str:
    return ", ".join(f"{folder}/" for folder in folders[:3]) + (" ..." if len(folders) > 3 else "")


def _folders(names: list[str], wrapper: str) -> set[str]:
    """The folders right below a wrapper."""
    inner = [name.removeprefix(wrapper) for name in names]
    return {name.split("/")[0] for name in inner if "/" in name}


def _wrappers(names: list[str]) -> list[str]:
    """The folders that hold all files, from the outside: ``""``, ``"outer/"``, ..."""
    wrappers = [""]
    while True:
        folders = _folders(names, wrappers[-1])
        if len(folders) != 1 or not all("/" in name[len(wrappers[-1]) :] for name in names):
            return wrappers
        wrappers.append(f"{wrappers[-1]}{folders.pop()}/")
