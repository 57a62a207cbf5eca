"""Locks between processes of one machine, given back by the system when their holder dies."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Self

from groupbench.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class KeyLock:
    """An exclusive lock with a name. Not reentrant; other threads count as others.

    Its file is removed when it is released: whoever removes it holds it, and who locks a file that
    is no longer at its path tries again with the new one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def acquire(self, *, blocking: bool = True) -> bool:
        """Take the lock; return whether it was had. ``blocking`` waits for it.

        Raises:
            StoreError: the store cannot be written.
        """
        if self._descriptor is not None:
            raise ValueError(f"{self.path.name} is held by this object already")
        while True:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            except FileNotFoundError:
                continue  # the folder went away between the two
            except OSError as problem:
                raise StoreError(f"{self.path}: cannot lock: {problem.strerror}.") from None
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if blocking else fcntl.LOCK_NB))
            except BlockingIOError:
                os.close(descriptor)
                return False
            except OSError as problem:
                os.close(descriptor)
                raise StoreError(f"{self.path}: cannot lock: {problem.strerror}.") from None
            except BaseException:
                os.close(descriptor)
                raise
            if _is_at(descriptor, self.path):
                self._descriptor = descriptor
                return True
            os.close(descriptor)

    def release(self) -> None:
        """Give the lock back. Does nothing if it is not held."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        self.path.unlink(missing_ok=True)
        os.close(descriptor)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def hold_folder(folder: Path) -> int | None:
    """Lock a folder itself as long as the descriptor that comes back is open.

    ``None`` where the file system has no such locks (NFS): age alone then tells an orphan.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def is_held(folder: Path) -> bool:
    """Whether a living process of this machine holds a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)
