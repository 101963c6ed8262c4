"""A folder that belongs to one process: others see whether it lives, and delete what a dead one left."""

import fcntl
import os
import shutil
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path


class OwnFolder:
    """A folder of this process's own below a shared one; it is locked until it is closed, or the process ends.

    Attributes:
        path: The folder.
    """

    def __init__(self, shared: Path) -> None:
        """Make it, and delete those of processes that died."""
        shared.mkdir(exist_ok=True)
        sweep(shared)
        with _alone(shared):  # nobody else sees a folder that is not locked yet
            self.path = shared / uuid.uuid4().hex[:12]
            self.path.mkdir()
            self._lock = (self.path / "lock").open("wb")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self) -> None:
        """Delete it."""
        self._lock.close()
        shutil.rmtree(self.path, ignore_errors=True)


def sweep(shared: Path) -> None:
    """Delete the folders of processes that died, if there are any."""
    with suppress(FileNotFoundError), _alone(shared):
        for folder in shared.glob("*/"):
            if not is_held(folder):
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def is_held(folder: Path) -> bool:
    """Return whether the process that made a folder lives."""
    try:
        with (folder / "lock").open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
