"""Where queries that do not fit memory put their rows: a folder for each process, gone when it ends."""

from contextlib import suppress
from pathlib import Path

from asof.own_folder import OwnFolder, is_held, sweep

__all__ = ["Spill", "is_held", "sweep"]


class Spill:
    """A folder of this engine's own, below a store's `tmp`; `None` where none can be made: a read-only store."""

    def __init__(self, root: str) -> None:
        """Make the folder, and delete those of processes that died."""
        self._own: OwnFolder | None = None
        with suppress(OSError):
            self._own = OwnFolder(Path(root) / "tmp")
        self.folder = None if self._own is None else self._own.path

    def close(self) -> None:
        """Delete the folder."""
        if self._own is not None:
            self._own.close()
            self._own, self.folder = None, None
