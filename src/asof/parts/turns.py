"""Take turns at writing a store's files anew: compacting, merging, erasing.

The commit log alone keeps two of them from spoiling each other's work: the second is refused, and has worked in vain.
"""

from contextlib import AbstractContextManager
from pathlib import Path

from asof.file_locks import turn


def rewriting(root: Path, *, wait: bool = True) -> AbstractContextManager[bool]:
    """Wait for our turn among the threads and processes of this machine; without waiting, say whether it is ours."""
    return turn(root, wait=wait)
