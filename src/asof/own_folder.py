"""A folder that belongs to one process: others see whether it lives, and delete what a dead one left."""

import shutil
import uuid
from contextlib import suppress
from pathlib import Path

from asof import file_locks
from asof.file_locks import HeldFile, turn

LOCK = "lock"


class OwnFolder:
    """A folder of this process's own below a shared one; it is locked until it is closed, or the process ends.

    Attributes:
        path: The folder.
    """

    def __init__(self, shared: Path) -> None:
        """Make it, and delete those of processes that died."""
        shared.mkdir(exist_ok=True)
        sweep(shared)
        with turn(shared):  # nobody else sees a folder that is not locked yet
            self.path = shared / uuid.uuid4().hex[:12]
            self.path.mkdir()
            self._lock = HeldFile(self.path / LOCK)

    def close(self) -> None:
        """Delete it."""
        self._lock.close()
        shutil.rmtree(self.path, ignore_errors=True)


def sweep(shared: Path) -> None:
    """Delete the folders of processes that died, if there are any."""
    with suppress(FileNotFoundError), turn(shared):
        for folder in shared.glob("*/"):
            if not is_held(folder):
                shutil.rmtree(folder, ignore_errors=True)


def is_held(folder: Path) -> bool:
    """Return whether the process that made a folder lives."""
    return file_locks.is_held(folder / LOCK)
