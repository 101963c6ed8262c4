"""Point-in-time reads and stored rows as messages: for what is small. Tables go as Arrow or Parquet, see `export`."""

import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa

from asof.arrow.json_values import Convert, Value, read_column, reader, write_column, writers
from asof.catalog.answers import report_answer
from asof.clock import parse_time
from asof.definitions.types import DType
from asof.server.export import Table
from asof.server.messages import HistoricalColumns, HistoricalRequest, HistoricalRows, StoredRows
from asof.server.names import Names
from asof.server.problems import RequestError
from asof.store import Store
from asof.training.frame import HistoricalFrame

ROWS = 1000
"""Stored rows of one answer, if nobody says how many."""

BATCH_ROWS = 65_536
"""Stored rows that are handled at a time."""

TRUTHS = {"true": True, "1": True, "": True, "false": False, "0": False}

_TIME = reader(DType("timestamp"))


class History:
    """What the server reads from history. Safe to call from several threads.

    Args:
        store: The store that is served.
        names: What is known of its groups and views.
        most_rows: Rows of one request, or of one answer.
    """

    def __init__(self, store: Store, names: Names, *, most_rows: int) -> None:
        """Keep what is needed."""
        self._store = store
        self._names = names
        self._most_rows = most_rows

    def historical(self, view: str, asked: HistoricalRequest) -> HistoricalRows | HistoricalColumns:
        """Return the values that were known at the times of a spine."""
        columns = self._spine(view, asked)
        frame = self._store.historical(
            view,
            columns,
            time=asked.time if asked.time is None or asked.time in columns else _moment(asked.time),
            known=_known(asked.known),
            commits=asked.commits,
            statuses=asked.statuses,
            full_names=asked.full_names,
            timezone=asked.timezone,
        )
        report = report_answer(frame.report)
        table = frame.to_arrow()
        if asked.orient == "rows":
            return HistoricalRows(rows_of(table), frame.commits, report)
        return HistoricalColumns(columns_of(table), frame.commits, report)

    def rows(self, group: str, query: Mapping[str, str]) -> StoredRows:
        """Return the first stored rows of a group."""
        limit = number(query, "limit", min(ROWS, self._most_rows), most=self._most_rows)
        frame = self._frame(group, query)
        table = pa.Table.from_batches(_first(frame.batches(BATCH_ROWS), limit + 1), frame.schema)
        return StoredRows(rows_of(table.slice(0, limit)), frame.commits, table.num_rows > limit)

    def table(self, group: str, query: Mapping[str, str]) -> Table:
        """Return the stored rows of a group; they are read when they are asked for."""
        limit = number(query, "limit", sys.maxsize, most=sys.maxsize)
        frame = self._frame(group, query)
        return Table(frame.schema, _first(frame.batches(BATCH_ROWS), limit), frame.commits)

    def _frame(self, group: str, query: Mapping[str, str]) -> HistoricalFrame:
        return self._store.read(
            group,
            start=moment(query, "start"),
            end=moment(query, "end"),
            columns=query["columns"].split(",") if "columns" in query else None,
            known=moment(query, "known"),
            commits=query.get("commits"),
            latest=_truth(query, "latest"),
            clocks=_truth(query, "clocks"),
            batch_rows=BATCH_ROWS,
        )

    def _spine(self, view: str, asked: HistoricalRequest) -> dict[str, list[Value]]:
        """Return the spine by column, keys and times as values of their types."""
        given = asked.spine
        rows = len(given) if isinstance(given, list) else max(map(len, given.values()), default=0)
        if rows > self._most_rows:
            title = f"{rows:,} rows of the spine are more than the {self._most_rows:,} of one request"
            raise RequestError(413, title, todo="send them in parts")
        if isinstance(given, list):
            names = dict.fromkeys(name for row in given for name in row)
            given = {name: [row.get(name) for row in given] for name in names}
        converts: dict[str, Convert] = dict(self._names.keys(view))
        if asked.time is not None and _TIME is not None:
            converts[asked.time] = _TIME
        where = f"spine of {view}"
        return given | {
            name: read_column(name, given[name], converts[name], where) for name in converts if name in given
        }


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows of a table, written for JSON."""
    rows = table.to_pylist()
    for name, convert in writers(table.schema):
        for row in rows:
            if row[name] is not None:
                row[name] = convert(row[name])
    return rows


def columns_of(table: pa.Table) -> dict[str, list[Any]]:
    """Return the columns of a table, written for JSON."""
    columns: dict[str, list[Any]] = table.to_pydict()
    for name, convert in writers(table.schema):
        columns[name] = write_column(columns[name], convert)
    return columns


def _first(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Iterate over the first rows."""
    for batch in batches:
        yield batch.slice(0, rows)
        rows -= batch.num_rows
        if rows <= 0:
            return


def number(query: Mapping[str, str], name: str, default: int, *, most: int) -> int:
    """Return a number of a query, from 1 to `most`.

    Raises:
        RequestError: It is none.
    """
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and 0 < int(text) <= most):
        raise RequestError(400, f"{name}={text!r} is no number from 1 to {most:,}")
    return int(text)


def _truth(query: Mapping[str, str], name: str) -> bool:
    text = query.get(name, "false")
    if text not in TRUTHS:
        raise RequestError(400, f"{name}={text!r} is neither true nor false")
    return TRUTHS[text]


def moment(query: Mapping[str, str], name: str) -> datetime | None:
    """Return a time of a query; its plus, which means a blank there, may stand unquoted."""
    text = query.get(name)
    return None if text is None else parse_time(text.replace(" ", "+"), what=name)


def _known(text: str | None) -> str | datetime | None:
    return text if text in (None, "served", "event") else parse_time(text, what="known")


def _moment(text: str) -> str | datetime:
    """Return a time for all rows; what is none must be a column, of which the store says whether it is there."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return text
    return parse_time(text)
