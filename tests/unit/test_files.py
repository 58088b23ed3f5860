"""Files and folders that are whole or not there, and locks, with processes that are killed."""

import errno
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trompe.errors import UserError
from trompe.files import CannotWrite, remove_leftovers, whole_file, whole_folder, whole_path
from trompe.images import save_picture
from trompe.locks import Lock

IMPORTS = (
    "import os, signal, sys, time; from pathlib import Path;"
    "from trompe.files import whole_file, whole_folder, whole_path;"
    "from trompe.locks import Lock; path = Path(sys.argv[1])\n"
)
KILL = "os.kill(os.getpid(), signal.SIGKILL)"


def start(script: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", IMPORTS + script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def kill(script: str, path: Path) -> None:
    """Run a script that kills itself."""
    process = start(script, path)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def write_text(path: Path) -> None:
    with whole_file(path) as file:
        file.write("é\r\nnew\n")


def write_bytes(path: Path) -> None:
    with whole_file(path, "wb") as file:
        np.savez(file, a=np.arange(50_000))


def write_by_name(path: Path) -> None:
    save_picture(Image.effect_noise((400, 400), 50), path)


def write_folder(path: Path) -> None:
    with whole_folder(path, replace=True) as folder:
        write_text(folder / "inner" / "text")
        (folder / "plain").write_bytes(bytes(100_000))


WRITERS = pytest.mark.parametrize("write", [write_text, write_bytes, write_by_name, write_folder])


@WRITERS
def test_writers_make_folders_and_replace(tmp_path: Path, write: Callable[[Path], None]) -> None:
    path = tmp_path / "new" / "folders" / "target.png"
    write(path)
    first = files(tmp_path)
    write(path)
    again = files(tmp_path)
    assert again.keys() == first.keys()
    assert all(name.startswith("new/folders/target.png") for name in again)


def test_text_is_written_as_it_is(tmp_path: Path) -> None:
    write_text(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == "é\r\nnew\n".encode()


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_text(tmp_path / "a")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_old_file_is_seen_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with whole_file(path) as file:
        file.write("new")
        file.flush()
        assert path.read_text() == "old"
    with whole_path(path) as temporary:
        assert temporary.suffix == ".txt" and not temporary.exists()
        temporary.write_text("newer")
        assert path.read_text() == "new"
    assert files(tmp_path) == {"a.txt": b"newer"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_exception_leaves_the_old_and_no_temporary(
    tmp_path: Path, error: type[BaseException]
) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "b").write_text("old")
    before = files(tmp_path)
    with pytest.raises(error), whole_file(tmp_path / "a") as file:
        file.write("new")
        raise error
    with pytest.raises(error), whole_path(tmp_path / "a") as temporary:
        temporary.write_text("new")
        raise error
    with pytest.raises(error), whole_folder(tmp_path / "folder", replace=True) as folder:
        (folder / "b").write_text("new")
        raise error
    assert files(tmp_path) == before and len(os.listdir(tmp_path)) == 2


@pytest.mark.parametrize(
    "script",
    [
        f"with whole_file(path) as file: file.write('new'); file.flush(); {KILL}",
        f"with whole_path(path) as temporary: temporary.write_text('new'); {KILL}",
        # All is written, and it is killed right before the rename.
        f"os.replace = lambda *_: {KILL}\nwith whole_file(path) as file: file.write('new')",
    ],
    ids=["whole_file", "whole_path", "rename"],
)
def test_a_kill_before_the_rename_leaves_the_old_file(tmp_path: Path, script: str) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    kill(script, path)
    assert path.read_text() == "old"
    assert len(os.listdir(tmp_path)) == 2  # the other is hidden, and in nobody's way
    write_text(path)
    assert path.read_bytes() == "é\r\nnew\n".encode()


def test_a_kill_leaves_no_half_folder(tmp_path: Path) -> None:
    script = f"with whole_folder(path) as folder: (folder / 'a').write_text('a'); {KILL}"
    kill(script, tmp_path / "new")
    assert [name[0] for name in os.listdir(tmp_path)] == ["."]


@pytest.mark.parametrize(
    "script",
    [
        f"with whole_file(path) as file: file.write('new'); {KILL}",
        f"with whole_path(path.with_suffix('.png')) as temporary: temporary.touch(); {KILL}",
        f"with whole_folder(path) as folder: (folder / 'a').write_text('a'); {KILL}",
    ],
    ids=["file", "path", "folder"],
)
def test_leftovers_of_the_dead_are_removed(tmp_path: Path, script: str) -> None:
    kept = ["a.tmp", ".hidden", ".lock", ".a.0123abcd.tmp.b.c", "sub/.a.0123abcd.tmp"]
    (tmp_path / "sub").mkdir()
    for name in kept:
        (tmp_path / name).touch()
    kill(script, tmp_path / "target.with.dots and a name much longer than forty letters")
    assert len(os.listdir(tmp_path)) == len(kept) + 1
    remove_leftovers(tmp_path)
    assert files(tmp_path).keys() == set(kept)
    remove_leftovers(tmp_path / "none")


def test_a_folder_moved_aside_is_kept_until_another_is_in_its_place(tmp_path: Path) -> None:
    write_folder(tmp_path / "a")
    before = files(tmp_path / "a")
    script = (
        f"rename = Path.rename; Path.rename = lambda a, b: (rename(a, b), {KILL})\n"
        "with whole_folder(path, replace=True): pass"
    )
    kill(script, tmp_path / "a")
    remove_leftovers(tmp_path)
    (aside,) = tmp_path.iterdir()
    assert files(aside) == before
    write_folder(tmp_path / "a")
    remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == ["a"]


def test_a_folder_is_refused_where_another_one_is(tmp_path: Path) -> None:
    write_folder(tmp_path / "a")
    before = files(tmp_path)
    with (
        pytest.raises(CannotWrite, match="a: Directory not empty"),
        whole_folder(tmp_path / "a") as folder,
    ):
        (folder / "plain").write_text("new")
    assert files(tmp_path) == before and os.listdir(tmp_path) == ["a"]


def test_a_folder_that_cannot_be_renamed_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, rename = tmp_path / "a", Path.rename
    write_folder(path)
    before = files(tmp_path)

    def refuse(self: Path, target: Path) -> Path:
        if target == path and not self.name.endswith(".old.tmp"):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with (
        pytest.raises(CannotWrite, match="a: Device or resource busy"),
        whole_folder(path, replace=True) as folder,
    ):
        (folder / "plain").write_text("new")
    assert files(tmp_path) == before and os.listdir(tmp_path) == ["a"]


def test_a_link_to_a_folder_stays_one(tmp_path: Path) -> None:
    (tmp_path / "disk" / "a").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "a")
    write_folder(tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "disk" / "a" / "plain").is_file()
    assert os.listdir(tmp_path / "disk") == ["a"]


@WRITERS
def test_a_place_below_a_file_is_one_line(tmp_path: Path, write: Callable[[Path], None]) -> None:
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "folder" / "a.png"
    with pytest.raises(UserError) as told:
        write(path)
    assert str(told.value) == f"cannot write {path}: Not a directory"
    assert files(tmp_path) == {"file": b"in the way"}
    again = pickle.loads(pickle.dumps(told.value))  # as it comes from another process
    assert str(again) == str(told.value)


@pytest.mark.parametrize(
    "write",
    [
        "with whole_file(path) as file: file.write('new' * 2000)",  # when it is closed
        "with whole_file(path) as file: file.write('new' * 90000)",
        "with whole_file(path, 'wb') as file: file.write(bytes(90000))",
        "with whole_path(path) as temporary: temporary.write_bytes(bytes(90000))",
    ],
    ids=["closing", "text", "bytes", "name"],
)
def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path: Path, write: str) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    # A limit on file sizes makes writes fail as a full disk does.
    limited = (
        "import resource; from trompe.errors import UserError;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))\n"
        f"try:\n    {write}\nexcept UserError as error: print(error)"
    )
    out, _ = start(limited, path).communicate(timeout=60)
    assert out == f"cannot write {path}: File too large\n"
    assert files(tmp_path) == {"a": b"old"}


def test_ctrl_c_on_a_full_disk_is_still_ctrl_c(tmp_path: Path) -> None:
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))\n"
        "try:\n"
        "    with whole_file(path) as file:\n"
        "        file.write('new' * 99)\n"
        "        raise KeyboardInterrupt\n"
        "except KeyboardInterrupt: print('interrupted')"
    )
    assert start(script, tmp_path / "a").communicate(timeout=60)[0] == "interrupted\n"
    assert files(tmp_path) == {}


def test_threads_that_write_one_file_leave_one_of_theirs(tmp_path: Path) -> None:
    texts = [str(number) * 10_000 for number in range(8)]

    def write(text: str) -> None:
        for _ in range(20):
            with whole_file(tmp_path / "a") as file:
                file.write(text)

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_text() in texts


HOLD = "lock = Lock(path); print(lock.acquire(wait=False), flush=True); sys.stdin.read()"


def test_a_lock_is_held_once(tmp_path: Path) -> None:
    lock, other = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert not lock.is_held() and not (tmp_path / "lock").exists()
    lock.release()  # nothing happens
    assert lock.acquire(wait=False)
    assert lock.is_held() and other.is_held()
    assert not other.acquire(wait=False)
    lock.release()
    assert not lock.is_held()
    with other:
        assert lock.is_held()
    assert lock.acquire(wait=True)
    lock.release()
    with pytest.raises(UserError, match=r"cannot lock .*: No such file or directory"):
        Lock(tmp_path / "none" / "lock").acquire(wait=False)


def test_a_lock_is_held_though_nothing_refers_to_it(tmp_path: Path) -> None:
    assert Lock(tmp_path / "lock").acquire(wait=False)
    assert Lock(tmp_path / "lock").is_held()


def test_a_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    holder = start(HOLD, tmp_path / "lock")
    assert holder.stdout is not None and holder.stdout.readline() == "True\n"
    lock = Lock(tmp_path / "lock")
    assert lock.is_held() and not lock.acquire(wait=False)
    holder.kill()
    holder.communicate(timeout=60)
    assert not lock.is_held() and lock.acquire(wait=False)
    lock.release()


def test_a_lock_is_free_though_a_fork_of_the_killed_holder_goes_on(tmp_path: Path) -> None:
    script = (
        "lock = Lock(path); lock.acquire(wait=False)\n"
        "if os.fork() == 0: print(lock.is_held(), flush=True); time.sleep(60)\n"
        "sys.stdin.read()"
    )
    holder = start(script, tmp_path / "lock")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "True\n"  # closing the fork's copy has not freed it
    children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
    holder.kill()
    holder.wait(60)
    try:
        assert not Lock(tmp_path / "lock").is_held()
    finally:
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        holder.communicate(timeout=60)


def test_processes_exclude_each_other(tmp_path: Path) -> None:
    # Reading, waiting and writing loses counts unless one does it at a time.
    script = (
        "for _ in range(20):\n"
        "    with Lock(path):\n"
        "        count = path.with_name('count')\n"
        "        seen = int(count.read_text()); time.sleep(0.002); count.write_text(str(seen + 1))"
    )
    (tmp_path / "count").write_text("0")
    with Lock(tmp_path / "lock"):
        processes = [start(script, tmp_path / "lock") for _ in range(3)]
        time.sleep(0.5)
        assert (tmp_path / "count").read_text() == "0"
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "60"
    for process in processes:
        process.communicate()


def test_any_name_can_be_printed_and_is_no_command_for_the_terminal(tmp_path: Path) -> None:
    """Neither bytes that are no text nor control characters, in a message or on stdout."""
    script = """
        import sys
        from trompe.cli import main
        from trompe.streams import keep_streams
        keep_streams()
        print("caf\\udce9")
        sys.exit(main())
    """
    code = "\n".join(line.strip() for line in script.splitlines())
    arguments = ["evaluate", "generated=a\x1b[31m.png", "reference=b\\udce9"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
    )
    assert done.stdout == "caf\\udce9\n" and done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("trompe: ")]
    assert "a\\x1b[31m.png" in line and "\x1b" not in done.stderr
