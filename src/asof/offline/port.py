"""What a history must do: keep immutable data files, and mirror the published ones in a table that others can read.

It decides nothing about visibility: the commit log does. A file that the log does not name is debris.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from asof.records import DataFile


@dataclass(frozen=True, slots=True)
class Table:
    """Where the files of a group version lie.

    Attributes:
        name: Name of its folder, such as "weather@1".
        schema: Columns of its files, see `asof.arrow.layout.stored_schema`.
        sort: Columns by which each file is ordered.
        event_time: Event time column, None in a static group.
    """

    name: str
    schema: pa.Schema
    sort: tuple[str, ...]
    event_time: str | None


class History(Protocol):
    """Keeps data files. Safe to call from several threads and processes.

    Attributes:
        remote: Whether files must be fetched before an engine of this machine can read them; see `near`.
    """

    remote: bool

    def stage(self, table: Table, batches: pa.RecordBatchReader | pa.Table) -> list[DataFile]:
        """Write rows, ordered by `table.sort`, to new files that survive a power cut; they are not visible yet.

        Returns:
            The files, unpublished; none for no rows.

        Raises:
            PermanentError: No space, or no permission; nothing is left behind.
        """
        ...

    def adopt(self, path: str, near: str) -> str:
        """Take over a data file of another history, byte for byte; it is not visible yet. Repeating it costs a read.

        Args:
            path: Its `DataFile.path` there.
            near: Where it can be read on this machine.

        Returns:
            Its path here.

        Raises:
            FileNotFoundError: It is gone there. PermanentError: No space, or what was stored here is not what was read.
        """
        ...

    def mirror(self, table: Table, *, live: Sequence[DataFile]) -> None:
        """Make the readable table hold exactly the live files. Repeating it changes nothing."""
        ...

    def location(self, path: str) -> str:
        """Return how others call a file: a path, or a URL."""
        ...

    def near(self, files: Sequence[DataFile]) -> AbstractContextManager[Mapping[str, str]]:
        """Give by `DataFile.path` where files can be read on this machine, as long as the block takes.

        Raises:
            TransientError: A file cannot be reached now. PermanentError: Its bytes are not those that were written.
        """
        ...

    def links(self, files: Sequence[DataFile], *, seconds: int) -> Mapping[str, str]:
        """Return by `DataFile.path` URLs at which whoever has them reads the files, for some seconds, and nothing else.

        Empty if the history cannot give any. A URL is as good as the right to read: it belongs into no message or log.

        Raises:
            BackendError: It could, and now cannot.
        """
        ...

    def keep_only(self, paths: Iterable[str]) -> None:
        """Delete what this machine keeps of files elsewhere, but for these."""
        ...

    def check(self, path: str) -> str:
        """Return what is wrong with a file, after reading all of it; "" if all is well."""
        ...

    def discard(self, paths: Iterable[str]) -> None:
        """Delete files; absent ones do not matter."""
        ...

    def debris(self, known: Iterable[str]) -> list[str]:
        """Return the data files that are not among the known ones and that no living writer is about to publish."""
        ...

    def drop(self, table: Table) -> None:
        """Delete a table with all its files."""
        ...

    def close(self) -> None:
        """Release what the history holds."""
        ...
