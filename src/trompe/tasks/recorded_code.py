"""The code that a run was trained with, from its recorded commit."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trompe.errors import UserError
from trompe.runs.provenance import checkout
from trompe.runs.run_folder import RunFolder
from trompe.search_path import command as trompe_command
from trompe.streams import visible


@contextmanager
def source_of(run: RunFolder, code: str) -> Iterator[list[str]]:
    """The command that trains: with this code, or with the recorded one in a temporary worktree.

    Raises:
        UserError: if there is no such commit, or its uncommitted changes do not apply.
    """
    if code == "current":
        yield trompe_command("train")
        return
    recorded = run.read_facts()["code"]
    root = checkout()
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "trompe"
        _git(root, "worktree", "add", "--detach", str(tree), recorded["commit"])
        try:
            if recorded.get("dirty_diff"):
                _git(tree, "apply", "-", text=recorded["dirty_diff"])
            path = os.pathsep.join(filter(None, [f"{tree / 'src'}", os.environ.get("PYTHONPATH")]))
            yield ["env", f"PYTHONPATH={path}", *trompe_command("train")]
        finally:
            _git(root, "worktree", "remove", "--force", str(tree))


def check_recorded(run: RunFolder, trust: bool) -> None:
    """Show the recorded commit and changes, which are code to be run, and ask for consent.

    An older commit may check less of what a folder names than this one does.

    Raises:
        UserError: if there is no such commit here, the changes have masked secrets, or consent is
            not given; without a terminal only ``trust=true`` gives it.
    """
    recorded = run.read_facts().get("code") or {}
    commit, diff = recorded.get("commit"), recorded.get("dirty_diff")
    if not commit or not (checkout() / ".git").exists():
        raise UserError(
            f"{run.path}: no commit is recorded, or this is not a checkout: use code=current"
        )
    if not re.fullmatch("[0-9a-f]{40,64}", str(commit)) or not _has_commit(commit):
        raise UserError(
            f"{run.path} was trained on the commit {str(commit)[:12]!r}, which is not in "
            f"{checkout()}: fetch it, or use code=current"
        )
    if recorded.get("is_masked"):
        raise UserError(
            f"{run.path}: secrets in its recorded changes were masked, so these do not apply: use "
            "code=current"
        )
    diff = diff or ""
    if "\nGIT binary patch" in diff:  # which git diff does not write of itself, and nobody can read
        raise UserError(f"{run.path}: its recorded changes hold binary files: use code=current")
    shown = visible(diff, kept="\n\t")
    changes = f" with these changes:\n{shown}" if diff else ", unchanged"
    print(f"{run.path} was trained on the commit {commit[:12]}{changes}")
    if trust is True:  # not the text of trust=no
        return
    if not sys.stdin.isatty():
        raise UserError(
            f"{run.path} runs the recorded code shown above: set trust=true if you trust it"
        )
    if input("Check out and run this code? [y/N] ").strip().lower() not in ("y", "yes"):
        raise UserError("the recorded code was not checked out, and nothing was run")


def _has_commit(commit: str) -> bool:
    command = ["git", "-C", str(checkout()), "cat-file", "-e", f"{commit}^{{commit}}"]
    return subprocess.run(command, capture_output=True).returncode == 0


def _git(root: Path, *arguments: str, text: str | None = None) -> None:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], input=text, capture_output=True, text=True
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"git {' '.join(arguments[:2])} failed: {reason}")
