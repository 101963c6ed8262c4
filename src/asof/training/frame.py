"""What a historical read returns: a table with its commits and report, handed out in the caller's kind."""

from collections.abc import Iterator, Mapping

import pyarrow as pa

from asof import notebook
from asof.arrow.frames import Frame, Origin, to_pandas, to_polars
from asof.errors import UsageError
from asof.training.report import Report

BATCH_ROWS = 100_000

SHOWN = 10
"""Rows that a notebook shows."""


class HistoricalFrame:
    """Rows read from history.

    Attributes:
        commits: The last commit seen of each group ("weather@1"): pass it to `historical(..., commits=...)` to read
            the same again.
    """

    def __init__(
        self, table: pa.Table, origin: Origin, commits: Mapping[str, int], report: Report | None = None
    ) -> None:
        """Keep the parts."""
        self._table = table
        self._origin = origin
        self.commits = dict(commits)
        self._report = report

    @property
    def report(self) -> Report:
        """How the values of `historical` came out.

        Raises:
            UsageError: The rows were read as stored: there was no question, so there is no report.
        """
        if self._report is None:
            raise UsageError("rows that are read as stored have no report", todo="use historical")
        return self._report

    def to_arrow(self) -> pa.Table:
        """Return the rows as a pyarrow table."""
        return self._table

    def to_pandas(self) -> Frame:
        """Return the rows as a pandas frame: a pandas spine's own columns and index; int64 with nulls as Int64.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        return to_pandas(self.to_arrow(), self._origin)

    def to_polars(self) -> Frame:
        """Return the rows as a polars frame.

        Raises:
            MissingDependencyError: polars is not installed.
        """
        return to_polars(self.to_arrow(), self._origin)

    def to_native(self) -> Frame:
        """Return the rows in the kind of the spine: pandas, polars or Arrow."""
        match self._origin.kind:
            case "pandas":
                return self.to_pandas()
            case "polars":
                return self.to_polars()
            case "arrow":
                return self.to_arrow()

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Iterate over the rows in batches of at most `rows`."""
        yield from self._table.to_batches(max_chunksize=rows)

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        return self._table.schema

    @property
    def column_names(self) -> list[str]:
        """Names of the columns."""
        return self._table.column_names

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._table.num_rows

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand the rows to anything that reads Arrow streams."""
        return self._table.__arrow_c_stream__(requested_schema)

    def _repr_html_(self) -> str:
        first = next(iter(self.batches(SHOWN)), None)
        rows = [] if first is None else [list(row.values()) for row in first.to_pylist()]
        head = notebook.paragraph(f"{len(self):,} rows x {len(self.column_names)} columns")
        more = f"<p>the first {len(rows)} of them</p>" if len(self) > len(rows) else ""
        report = notebook.text(self._report) if self._report else ""
        return head + notebook.table(self.column_names, rows) + more + report

    def __repr__(self) -> str:
        """Return the shape, the columns and the report."""
        head = f"<{len(self):,} rows x {len(self.column_names)} columns: {', '.join(self.column_names)}>"
        return f"{head}\n{self._report}" if self._report else head
