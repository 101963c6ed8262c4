"""Take turns at writing a store's files anew: compacting, merging, erasing.

The commit log alone keeps two of them from spoiling each other's work: the second is refused, and has worked in vain.
"""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def rewriting(root: Path, *, wait: bool = True) -> Generator[bool]:
    """Wait for our turn among the threads and processes of this machine; without waiting, say whether it is ours."""
    folder = os.open(root, os.O_RDONLY)
    try:
        if not _locked(folder, wait=wait):
            yield False
            return
        try:
            yield True
        finally:  # closing is not enough: a child that was forked meanwhile has the lock too
            fcntl.flock(folder, fcntl.LOCK_UN)
    finally:
        os.close(folder)


def _locked(folder: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
