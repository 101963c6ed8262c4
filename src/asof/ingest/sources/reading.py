"""The rows of CSV, Parquet and Arrow files, by their suffix."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from asof.arrow.conform import conform_column, conform_time
from asof.arrow.streams import parquet_batches
from asof.clock import system_us
from asof.errors import DataError, NotFoundError
from asof.ingest.csv_folder import typed_rows

SUFFIXES: Mapping[str, str] = {
    ".csv": "CSV",
    ".parquet": "Parquet",
    ".pq": "Parquet",
    ".arrow": "Arrow",
    ".feather": "Arrow",
    ".ipc": "Arrow",
}

SETTLED_US = 60_000_000
"""So long after a CSV file was changed, a last line without an end is its last; before, its writer may write on."""


def read_file(
    path: Path, types: Mapping[str, pa.DataType], *, only: bool, timezone: str | None, kind: str | None = None
) -> Iterator[pa.Table]:
    """Give the rows of a file; a CSV file is in memory as a whole.

    Args:
        path: The file.
        types: The columns with their types.
        only: Whether the file's other columns are left out, and these must be there; else they are given as they are.
        timezone: Zone of naive times; None refuses them.
        kind: "CSV", "Parquet" or "Arrow"; None: what its suffix says.

    Raises:
        DataError: It is no such file, is damaged, or does not hold the columns.
    """
    kind = kind or SUFFIXES.get(path.suffix.lower())
    if kind is None:
        todo = f"its name must end in {', '.join(SUFFIXES)}"
        raise DataError("the file is of no kind that is read", where=str(path), todo=todo)
    with _told(path, kind):
        for table in _READERS[kind](path, types, timezone):
            yield _typed(table, types, timezone, str(path)) if only else table


def _typed(table: pa.Table, types: Mapping[str, pa.DataType], timezone: str | None, where: str) -> pa.Table:
    """Return the columns that are wanted, in their types."""
    columns: list[pa.ChunkedArray] = []
    for name, kind in types.items():
        if name not in table.column_names:
            hint = NotFoundError.named("column", name, table.column_names)
            raise DataError(f"column {name!r} is missing", where=where, todo=hint.todo, data={"column": name})
        spot = f"{where}, column {name}"
        column = table.column(name)
        timed = pa.types.is_timestamp(kind)
        columns.append(conform_time(column, spot, timezone=timezone) if timed else conform_column(column, kind, spot))
    return pa.table(columns, names=list(types))


def _csv(path: Path, types: Mapping[str, pa.DataType], timezone: str | None) -> Iterator[pa.Table]:
    _refuse_unfinished(path)
    yield typed_rows(path, types, timezone=timezone)[0]


def _refuse_unfinished(path: Path) -> None:
    """Refuse a CSV file whose last line may be cut in two."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - 1, 0))
        ended = file.read(1) in (b"", b"\n", b"\r")
    if not ended and system_us() - path.stat().st_mtime_ns // 1000 < SETTLED_US:
        todo = f"it is taken when it ends with a line, or was not changed for {SETTLED_US // 1_000_000} seconds"
        raise DataError("the file's last line has no end: it may still be being written", where=str(path), todo=todo)


def _parquet(path: Path, _types: Mapping[str, pa.DataType], _timezone: str | None) -> Iterator[pa.Table]:
    file, batches = parquet_batches(path)
    with file:
        yield file.schema_arrow.empty_table()  # its columns are looked at though it has no rows
        for batch in batches:
            yield pa.Table.from_batches([batch])


def _arrow(path: Path, _types: Mapping[str, pa.DataType], _timezone: str | None) -> Iterator[pa.Table]:
    with path.open("rb") as file:  # not mapped: a file that is cut meanwhile would end the process
        try:
            opened = pa.ipc.open_file(file)
        except pa.ArrowInvalid:
            file.seek(0)
            opened = pa.ipc.open_stream(file)
        yield opened.schema.empty_table()
        streamed = isinstance(opened, pa.RecordBatchStreamReader)
        batches = iter(opened) if streamed else map(opened.get_batch, range(opened.num_record_batches))
        for batch in batches:
            batch.validate(full=True)
            yield pa.Table.from_batches([batch])


_READERS: Mapping[str, Callable[[Path, Mapping[str, pa.DataType], str | None], Iterator[pa.Table]]] = {
    "CSV": _csv,
    "Parquet": _parquet,
    "Arrow": _arrow,
}


@contextmanager
def _told(path: Path, kind: str) -> Generator[None]:
    """Tell what is wrong with a file in our words."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        todo = "is it complete, and what its name says?"
        raise DataError(f"the file cannot be read as {kind}: {reason}", where=str(path), todo=todo) from error
