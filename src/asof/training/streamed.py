"""Reads that are answered batch by batch: neither their rows nor their answers are in memory as a whole."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from asof.arrow.frames import Origin
from asof.engine.reads import StoredRead
from asof.errors import UsageError
from asof.offline.port import History
from asof.training.frame import BATCH_ROWS, HistoricalFrame
from asof.training.report import Report, added

Chunks = Callable[[], Iterator[tuple[pa.Table, Report]]]
"""Reads the batches from the beginning, each with its report."""

Scan = Callable[[], pa.RecordBatchReader]
"""Reads stored rows from the beginning."""


@dataclass(frozen=True, slots=True)
class Source:
    """What stored rows are read from, for whoever has them read elsewhere.

    Attributes:
        read: What the engine is asked.
        history: Where the files are.
    """

    read: StoredRead
    history: History


class StreamedFrame(HistoricalFrame):
    """Rows that are read when they are asked for; each `batches()` reads them again, at the same pins.

    Whatever wants all rows at once, such as `to_arrow`, reads all batches and joins them.
    """

    def __init__(self, empty: pa.Table, rows: int, chunks: Chunks, origin: Origin, commits: Mapping[str, int]) -> None:
        """Keep what is needed to read."""
        super().__init__(empty, origin, commits)
        self._rows = rows
        self._chunks = chunks

    @property
    def report(self) -> Report:
        """How the values came out, once a `batches()` came to its end.

        Raises:
            UsageError: No `batches()` has.
        """
        if self._report is None:
            raise UsageError("the report is made while the batches are read", todo="read them all first")
        return self._report

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Read, and iterate over the rows in batches of at most `rows`."""
        report: Report | None = None
        for table, part in self._chunks():
            report = part if report is None else added(report, part)
            yield from table.to_batches(max_chunksize=rows)
        self._report = report

    def to_arrow(self) -> pa.Table:
        """Read all rows; return them as a pyarrow table."""
        return pa.Table.from_batches(self.batches(), self._table.schema)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._rows

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand the rows to anything that reads Arrow streams, while they are read."""
        reader = pa.RecordBatchReader.from_batches(self._table.schema, self.batches())
        return reader.__arrow_c_stream__(requested_schema)


class ScannedFrame(HistoricalFrame):
    """Stored rows that are read when they are asked for; each `batches()` reads them again, at the same pin.

    Attributes:
        source: What they are read from; None if that is on another machine.
    """

    def __init__(
        self,
        empty: pa.Table,
        scan: Scan,
        batch_rows: int,
        commits: Mapping[str, int],
        source: Source | None = None,
    ) -> None:
        """Keep what is needed to read."""
        super().__init__(empty, Origin("arrow"), commits)
        self.source = source
        self._scan = scan
        self._batch_rows = batch_rows

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Read, and iterate over the rows in batches of at most `rows`."""
        rows = min(rows, self._batch_rows)
        for batch in self._scan():
            for at in range(0, batch.num_rows, rows):
                yield batch.slice(at, rows)

    def to_arrow(self) -> pa.Table:
        """Read all rows; return them as a pyarrow table."""
        return pa.Table.from_batches(self.batches(), self._table.schema)

    def __len__(self) -> int:
        """Read all rows, to count them."""
        return sum(batch.num_rows for batch in self.batches())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand the rows to anything that reads Arrow streams, while they are read."""
        reader = pa.RecordBatchReader.from_batches(self._table.schema, self.batches())
        return reader.__arrow_c_stream__(requested_schema)
