"""Locks between processes."""

import fcntl
import os
from pathlib import Path
from types import TracebackType

from trompe.errors import UserError


class Lock:
    """A lock that one process holds, of all that use the same file; free when that process ends.

    Or several, if all of them are content to share it.

    It is free however the process ends, and whatever processes it has started go on: they do not
    hold it too. Within a process, each object is another holder.

    ``with Lock(path):`` waits for it and gives it free at the end.

    Args:
        path: the file, which is made and stays; its folder has to be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, wait: bool, shared: bool = False) -> bool:
        """Take it, and say whether it was to be had.

        Args:
            wait: until it is free, which makes the answer true.
            shared: with others who share it; nobody then has it alone.

        Raises:
            UserError: if there can be no such file, or no locks on this disk.
        """
        assert self._descriptor is None, f"{self.path} is held by this object"
        try:
            # To share it, reading another user's file suffices.
            access = os.O_RDONLY if shared else os.O_RDWR
            descriptor = os.open(self.path, access | os.O_CREAT, 0o666)
            try:
                kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
                fcntl.flock(descriptor, kind | (0 if wait else fcntl.LOCK_NB))
            except BaseException:
                os.close(descriptor)
                raise
        except BlockingIOError:
            return False
        except OSError as error:
            raise UserError(f"cannot lock {self.path}: {error.strerror}") from error
        self._descriptor = descriptor
        _HELD[descriptor] = self
        return True

    def release(self) -> None:
        """Give it free before the process ends; nothing happens if this object does not hold it."""
        if self._descriptor is not None:
            del _HELD[self._descriptor]
            os.close(self._descriptor)
            self._descriptor = None

    def is_held(self) -> bool:
        """Whether a process holds it now, this one included.

        A file that cannot be asked counts as held.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        try:
            # Shared, so that two that ask at once do not see each other.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    def __enter__(self) -> "Lock":
        self.acquire(wait=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


# What this process holds; it is held until released, even if nothing else refers to it.
_HELD: dict[int, Lock] = {}


def _forget() -> None:
    """In a forked process, a data loader's say: closing its copies leaves the parent's locked."""
    for lock in list(_HELD.values()):
        lock.release()


os.register_at_fork(after_in_child=_forget)
