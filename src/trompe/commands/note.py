"""Write a note on a run, in which #word is a tag; without a text, show its notes: RUN TEXT.

trompe note latest "sharper eyes than seed 1 #keep"
trompe note outputs/sweeps/<sweep>/best "#paper"
trompe note 1a2b3c
"""

from omegaconf import DictConfig

from trompe.command import command, split_words
from trompe.words import quoted


@command("note")
def _note(cfg: DictConfig) -> None:
    """Write, or show."""
    from trompe.tasks.note import note

    note(cfg)


def main(arguments: list[str]) -> None:
    """The first word without a key is the run, those after it are the text."""
    flags, words = split_words(arguments)
    keyed = [w for w in words if w.partition("=")[0] in ("run", "text") or w.startswith("paths.")]
    bare = [word for word in words if word not in keyed]
    if bare and not any(word.startswith("run=") for word in keyed):
        keyed.append(f"run={quoted(bare.pop(0))}")
    if bare:
        keyed.append(f"text={quoted(' '.join(bare))}")
    _note([*flags, *keyed])
