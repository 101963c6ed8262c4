"""Where queries that do not fit memory put their rows: a folder for each process, gone when it ends."""

import fcntl
import os
import shutil
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path


class Spill:
    """A folder of this engine's own, below a store's `tmp`; `None` where none can be made: a read-only store.

    It is locked as long as the engine is open, so that others see whether its process lives.
    """

    def __init__(self, root: str) -> None:
        """Make the folder, and delete those of processes that died."""
        self.folder: Path | None = None
        shared = Path(root) / "tmp"
        with suppress(OSError):
            shared.mkdir(exist_ok=True)
            sweep(shared)
            with _alone(shared):  # nobody else sees a folder that is not locked yet
                folder = shared / uuid.uuid4().hex[:12]
                folder.mkdir()
                self._lock = (folder / "lock").open("wb")
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.folder = folder

    def close(self) -> None:
        """Delete the folder."""
        if self.folder is not None:
            self._lock.close()
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None


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
