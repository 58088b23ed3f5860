"""`reproduce code=recorded`: changes that a folder brings are shown, and stay where they belong."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trompe.errors import UserError
from trompe.runs.provenance import checkout
from trompe.runs.run_folder import RunFolder
from trompe.tasks.recorded_code import _git, check_recorded


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "a_run")
    run.create({}, [], {})
    return run


@pytest.fixture
def diff(run: RunFolder) -> Callable[[str], None]:
    commit = subprocess.run(
        ["git", "-C", str(checkout()), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()

    def record(text: str, **code: Any) -> None:
        run.update_facts(code={"trompe": "0", "commit": commit, "dirty_diff": text, **code})

    return record


NEW = "diff --git a/{0} b/{0}\nnew file mode {1}\n--- /dev/null\n+++ b/{0}\n@@ -0,0 +1 @@\n+{2}\n"
LINK = NEW.format("link", "120000", "..") + "\\ No newline at end of file\n"


@pytest.mark.parametrize(
    "text",
    [
        NEW.format("../outside.py", "100644", "x"),
        NEW.format("src/../../outside.py", "100644", "x"),
        NEW.format("/tmp/outside.py", "100644", "x"),
        NEW.format(".git/hooks/post-checkout", "100755", "x"),
        LINK + NEW.format("link/outside.py", "100644", "x"),
    ],
)
def test_recorded_changes_stay_in_the_repository(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    subprocess.run(["git", "init", "--quiet", str(tree)], check=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match="git apply - failed"):
        _git(tree, "apply", "-", text=text)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ({"commit": "0" * 40}, "which is not in"),
        ({"commit": "--help"}, "which is not in"),
        ({"commit": "HEAD"}, "which is not in"),
        ({"is_masked": True}, "secrets in its recorded changes were masked"),
        ({"dirty_diff": "\nGIT binary patch\n"}, "hold binary files"),
    ],
)
def test_recorded_code_that_is_refused(
    code: dict[str, Any], said: str, run: RunFolder, diff: Any
) -> None:
    diff("x", **code)
    with pytest.raises(UserError, match=said):
        check_recorded(run, trust=True)


def test_a_recorded_commit_is_asked_for_without_changes_too(
    run: RunFolder, diff: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be one from before folders were checked."""
    diff("")
    with pytest.raises(UserError, match="runs the recorded code shown above: set trust=true"):
        check_recorded(run, trust=False)
    assert re.search("was trained on the commit [0-9a-f]{12}, unchanged", capsys.readouterr().out)


@pytest.mark.parametrize("answer", ["y", "n", ""])
def test_recorded_changes_are_shown_and_asked_for(
    answer: str, run: RunFolder, diff: Any, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    diff("+harmless\n\x1b[2K\x1b[1A\rhidden\u202e\n")
    for trust in (False, "no"):
        with pytest.raises(UserError, match="set trust=true if you trust it"):
            check_recorded(run, trust)
    shown = capsys.readouterr().out
    assert "\\x1b[2K\\x1b[1A\\rhidden\\u202e" in shown and "\x1b" not in shown
    leader, follower = pty.openpty()
    with os.fdopen(leader, "w") as keyboard, os.fdopen(follower) as terminal:
        keyboard.write(f"{answer}\n")
        keyboard.flush()
        monkeypatch.setattr(sys, "stdin", terminal)
        if answer == "y":
            check_recorded(run, trust=False)
        else:
            with pytest.raises(UserError, match="not checked out, and nothing was run"):
                check_recorded(run, trust=False)
