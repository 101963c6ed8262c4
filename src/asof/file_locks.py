"""Locks on files of this machine: held until their holder lets go, or dies.

A child that is forked meanwhile has the open file too, and with it the lock: closing the file is not enough to let go.
"""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def lock(file: int | IO[bytes] | IO[str], *, shared: bool = False, wait: bool = True) -> bool:
    """Lock an open file; return whether it is ours: without waiting, it may be another's."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(file, kind if wait else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(file: int | IO[bytes] | IO[str]) -> None:
    """Let go of a lock, for forked children too."""
    fcntl.flock(file, fcntl.LOCK_UN)


def close(file: IO[bytes] | IO[str]) -> None:
    """Close a file, and let go of its lock."""
    if not file.closed:
        unlock(file)
        file.close()


@contextmanager
def turn(place: Path, *, wait: bool = True, shared: bool = False) -> Generator[bool]:
    """Wait for our turn at a file or folder among the threads and processes of this machine; or shared, for those.

    Without waiting, say whether it is ours.

    Raises:
        FileNotFoundError: Nothing is there.
    """
    handle = os.open(place, os.O_RDONLY)
    try:
        ours = lock(handle, wait=wait, shared=shared)
        try:
            yield ours
        finally:
            unlock(handle)
    finally:
        os.close(handle)


class HeldFile:
    """A file that is written anew, and locked as long as it is held.

    Raises:
        BlockingIOError: Somebody else holds it.
    """

    def __init__(self, place: Path) -> None:
        """Hold it."""
        self._file = place.open("wb")
        if not lock(self._file, wait=False):
            self._file.close()
            raise BlockingIOError(f"{place} is locked by somebody else")

    def close(self) -> None:
        """Let go."""
        close(self._file)


def is_held(place: Path) -> bool:
    """Return whether somebody who lives holds a file."""
    try:
        with place.open("rb") as file:
            ours = lock(file, shared=True, wait=False)
            unlock(file)
    except FileNotFoundError:
        return False
    return not ours
